"""Reads every page of a fake Metronome API with the vendor's own client: metronome_sdk.py URL CUSTOMERS INVOICES.

Invoices, ledgers and balances are validated strictly. The customers are not: some have words and fields on purpose that
are newer than the client."""

import sys
from decimal import Decimal

from metronome import AuthenticationError, Metronome

url, customers, invoices = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lenient = Metronome(bearer_token="fake-token", base_url=url, max_retries=5)
client = Metronome(bearer_token="fake-token", base_url=url, max_retries=5, _strict_response_validation=True)

found = list(lenient.v1.customers.list(limit=10))
assert len({c.id for c in found}) == customers, f"{len(found)} customers, expected {customers}"
assert all(c.name and c.created_at and c.ingest_aliases for c in found)

count, total = 0, Decimal(0)
for customer in found:
    for invoice in client.v1.customers.invoices.list(customer_id=customer.id, sort="date_asc", limit=10):
        assert invoice.customer_id == customer.id and invoice.credit_type.id and invoice.line_items
        assert invoice.status in ("DRAFT", "FINALIZED", "VOID"), invoice.status
        total += Decimal(str(invoice.total))
        count += 1
assert count == customers * invoices, f"{count} invoices, expected {customers * invoices}"

drafts = [i for c in found for i in client.v1.customers.invoices.list(customer_id=c.id, sort="date_desc", status="DRAFT")]
assert len(drafts) == customers, f"{len(drafts)} drafts, expected {customers}"

# Kinds take turns: one of six has no ledger at all, one has none yet, one has two.
ledgers = list(client.v1.credit_grants.list_entries(sort="asc"))
expected = sum(1 for n in range(customers) if n % 6 not in (2, 5))
assert len({x.customer_id for x in ledgers}) == len(ledgers) == expected, f"{len(ledgers)} with ledgers, expected {expected}"
assert any(len(x.ledgers) == 2 for x in ledgers)
for each in ledgers:
    alone = list(client.v1.credit_grants.list_entries(customer_ids=[each.customer_id]))
    assert [x.customer_id for x in alone] == [each.customer_id]
    for ledger in each.ledgers:
        last = ledger.entries[-1]
        assert last.running_balance == ledger.ending_balance.excluding_pending
        assert last.effective_at and last.reason and last.created_by

net = client.v1.contracts.get_net_balance(customer_id=found[0].id)
assert net.data.balance == 0 and net.data.credit_type_id

try:
    Metronome(bearer_token="wrong", base_url=url, max_retries=0).v1.customers.list()
except AuthenticationError as error:
    assert "is not valid" in str(error), error
else:
    raise AssertionError("a wrong token was taken")

print(f"the vendor's client read {customers} customers, {count} invoices of {total} in all, {len(ledgers)} ledgers")
