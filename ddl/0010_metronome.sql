-- What the billing API said on a run date: customers, invoices, ledgers. A snapshot is written while it is fetched, and
-- counts for its run date from the moment at which it is whole; readers never see half of one.

create schema metronome;
comment on schema metronome is 'The Metronome billing API as it answered for each run date. Written by tasks of the kind metronome_fetch.';

create table metronome.snapshots (
    id bigint generated always as identity constraint snapshots_pkey primary key,
    run_id uuid not null constraint snapshots_run_key unique,
    run_date date not null,
    balance_source text not null constraint snapshots_balance_source_check check (balance_source in ('ledger', 'net_balance')),
    base_url text not null,
    state text not null default 'fetching' constraint snapshots_state_check check (state in ('fetching', 'complete', 'partial')),
    is_current boolean not null default false,
    began_at timestamptz not null,
    listed_at timestamptz,
    ended_at timestamptz,
    customers bigint,
    failed bigint,
    constraint snapshots_current_check check (not is_current or state <> 'fetching')
);
comment on table metronome.snapshots is 'One for each run that fetched. A second run of the same run date has one of its own, which takes the place of the first when it is whole.';
comment on column metronome.snapshots.id is 'What the rows of it are known by.';
comment on column metronome.snapshots.run_id is 'The run (bursar.runs) that fetched it; an attempt that takes over goes on with it.';
comment on column metronome.snapshots.run_date is 'The business day it is for.';
comment on column metronome.snapshots.balance_source is 'ledger: credit balances are those of the credit ledgers. net_balance: those that the vendor nets itself.';
comment on column metronome.snapshots.base_url is 'Where it was fetched.';
comment on column metronome.snapshots.state is 'fetching; complete: of every customer; partial: of some the fetch failed, which customers.error tells.';
comment on column metronome.snapshots.is_current is 'Whether it is what counts for its run date.';
comment on column metronome.snapshots.began_at is 'When its first request was made: balances are those of about then.';
comment on column metronome.snapshots.listed_at is 'When the list of customers was whole; null before.';
comment on column metronome.snapshots.ended_at is 'When it was whole; null before.';
comment on column metronome.snapshots.customers is 'How many customers it has; null until it is whole.';
comment on column metronome.snapshots.failed is 'Of how many of them the fetch failed; null until it is whole.';
create unique index snapshots_current_idx on metronome.snapshots (run_date) where is_current;

create table metronome.customers (
    snapshot_id bigint not null constraint customers_snapshot_fkey references metronome.snapshots on delete cascade,
    id text not null,
    name text,
    external_id text,
    ingest_aliases jsonb,
    salesforce_account_id text,
    billable_status text,
    created_at timestamptz,
    updated_at timestamptz,
    archived_at timestamptz,
    more jsonb not null,
    state text not null default 'listed' constraint customers_state_check check (state in ('listed', 'fetched', 'failed')),
    fault text,
    error text,
    constraint customers_pkey primary key (snapshot_id, id),
    constraint customers_error_check check ((state = 'failed') = (error is not null))
);
comment on table metronome.customers is 'Every customer that the vendor lists.';
comment on column metronome.customers.snapshot_id is 'The snapshot.';
comment on column metronome.customers.id is 'The vendor''s id of the customer.';
comment on column metronome.customers.name is 'Its name; null where the vendor''s entry could not be read.';
comment on column metronome.customers.external_id is 'The first of its ingest aliases, which the vendor calls deprecated.';
comment on column metronome.customers.ingest_aliases is 'The names that usage events know it by, a list.';
comment on column metronome.customers.salesforce_account_id is 'Its account in Salesforce.';
comment on column metronome.customers.billable_status is 'billable, unbillable, or what the vendor says later.';
comment on column metronome.customers.created_at is 'When the vendor got to know it.';
comment on column metronome.customers.updated_at is 'When the vendor changed it last.';
comment on column metronome.customers.archived_at is 'When it was archived; null while it is active.';
comment on column metronome.customers.more is 'What else the vendor says of it, by the vendor''s names.';
comment on column metronome.customers.state is 'listed; fetched: its invoices and balances are here; failed: they are not.';
comment on column metronome.customers.fault is 'The class of the failure: transient, data; null where there is none.';
comment on column metronome.customers.error is 'Why its invoices and balances are not here.';
create index customers_open_idx on metronome.customers (snapshot_id, id) where state <> 'fetched';

create table metronome.invoices (
    snapshot_id bigint not null,
    customer_id text not null,
    id text not null,
    credit_type_id text not null,
    credit_type_name text not null,
    status text not null,
    type text not null,
    total numeric not null,
    subtotal numeric,
    start_timestamp timestamptz,
    end_timestamp timestamptz,
    issued_at timestamptz,
    plan_id text,
    plan_name text,
    contract_id text,
    more jsonb not null,
    constraint invoices_pkey primary key (snapshot_id, customer_id, id),
    constraint invoices_customer_fkey foreign key (snapshot_id, customer_id) references metronome.customers on delete cascade
);
comment on table metronome.invoices is 'Every invoice of a customer, whatever its status.';
comment on column metronome.invoices.snapshot_id is 'The snapshot.';
comment on column metronome.invoices.customer_id is 'Who is billed.';
comment on column metronome.invoices.id is 'The vendor''s id of the invoice.';
comment on column metronome.invoices.credit_type_id is 'What it is counted in.';
comment on column metronome.invoices.credit_type_name is 'The name of that.';
comment on column metronome.invoices.status is 'DRAFT, FINALIZED, VOID, or what the vendor says later.';
comment on column metronome.invoices.type is 'What the vendor calls this kind of invoice.';
comment on column metronome.invoices.total is 'After credits, in the credit type''s unit: USD (cents) are cents with up to four decimals.';
comment on column metronome.invoices.subtotal is 'Before credits, in the same unit.';
comment on column metronome.invoices.start_timestamp is 'The first instant of the period it bills.';
comment on column metronome.invoices.end_timestamp is 'The first instant after that period.';
comment on column metronome.invoices.issued_at is 'When it was issued; null for a draft.';
comment on column metronome.invoices.plan_id is 'The plan it bills by.';
comment on column metronome.invoices.plan_name is 'The name of that.';
comment on column metronome.invoices.contract_id is 'The contract it bills by.';
comment on column metronome.invoices.more is 'What else the vendor says of it, the line items among it, by the vendor''s names.';

create table metronome.ledgers (
    snapshot_id bigint not null,
    customer_id text not null,
    credit_type_id text not null,
    credit_type_name text not null,
    starting_excluding_pending numeric,
    ending_effective_at timestamptz,
    ending_excluding_pending numeric not null,
    ending_including_pending numeric not null,
    constraint ledgers_pkey primary key (snapshot_id, customer_id, credit_type_id),
    constraint ledgers_customer_fkey foreign key (snapshot_id, customer_id) references metronome.customers on delete cascade
);
comment on table metronome.ledgers is 'A customer''s credit of one credit type.';
comment on column metronome.ledgers.snapshot_id is 'The snapshot.';
comment on column metronome.ledgers.customer_id is 'Whose credit it is.';
comment on column metronome.ledgers.credit_type_id is 'What it is counted in.';
comment on column metronome.ledgers.credit_type_name is 'The name of that.';
comment on column metronome.ledgers.starting_excluding_pending is 'What the vendor calls the starting balance, without what is pending.';
comment on column metronome.ledgers.ending_effective_at is 'The instant of the ending balance.';
comment on column metronome.ledgers.ending_excluding_pending is 'What is left, without what is pending.';
comment on column metronome.ledgers.ending_including_pending is 'What is left when all that is pending is posted.';

create table metronome.ledger_entries (
    snapshot_id bigint not null,
    customer_id text not null,
    position bigint not null,
    credit_type_id text not null,
    is_pending boolean not null,
    amount numeric not null,
    running_balance numeric,
    reason text,
    effective_at timestamptz,
    created_by text,
    credit_grant_id text,
    invoice_id text,
    more jsonb not null,
    constraint ledger_entries_pkey primary key (snapshot_id, customer_id, position),
    constraint ledger_entries_customer_fkey foreign key (snapshot_id, customer_id) references metronome.customers on delete cascade
);
comment on table metronome.ledger_entries is 'Every addition to and deduction from a customer''s credit.';
comment on column metronome.ledger_entries.snapshot_id is 'The snapshot.';
comment on column metronome.ledger_entries.customer_id is 'Whose credit it is.';
comment on column metronome.ledger_entries.position is 'Its place among all entries of the customer, in the order the vendor gave them, from 1.';
comment on column metronome.ledger_entries.credit_type_id is 'What it is counted in.';
comment on column metronome.ledger_entries.is_pending is 'Whether it is not posted yet; then it is no part of the balance.';
comment on column metronome.ledger_entries.amount is 'As the vendor gives it; a deduction may come with a positive amount, which the running balance tells.';
comment on column metronome.ledger_entries.running_balance is 'The credit after it, as the vendor says.';
comment on column metronome.ledger_entries.reason is 'Why, as the vendor says.';
comment on column metronome.ledger_entries.effective_at is 'When it counts from.';
comment on column metronome.ledger_entries.created_by is 'Who made it.';
comment on column metronome.ledger_entries.credit_grant_id is 'The grant it adds or draws on.';
comment on column metronome.ledger_entries.invoice_id is 'The invoice it pays for, if it does.';
comment on column metronome.ledger_entries.more is 'What else the vendor says of it, by the vendor''s names.';

create table metronome.net_balances (
    snapshot_id bigint not null,
    customer_id text not null,
    credit_type_id text not null,
    balance numeric not null,
    constraint net_balances_pkey primary key (snapshot_id, customer_id, credit_type_id),
    constraint net_balances_customer_fkey foreign key (snapshot_id, customer_id) references metronome.customers on delete cascade
);
comment on table metronome.net_balances is 'A customer''s balance over all commits and credits as the vendor nets it; only in snapshots of that balance source.';
comment on column metronome.net_balances.snapshot_id is 'The snapshot.';
comment on column metronome.net_balances.customer_id is 'Whose balance it is.';
comment on column metronome.net_balances.credit_type_id is 'What it is counted in.';
comment on column metronome.net_balances.balance is 'In the credit type''s unit.';

create view metronome.current_snapshots as
    select id, run_id, run_date, balance_source, base_url, state, began_at, ended_at, customers, failed
      from metronome.snapshots
     where is_current;
comment on view metronome.current_snapshots is 'The snapshot that counts for each run date.';
comment on column metronome.current_snapshots.id is 'Its id.';
comment on column metronome.current_snapshots.run_id is 'The run that fetched it.';
comment on column metronome.current_snapshots.run_date is 'The business day it is for.';
comment on column metronome.current_snapshots.balance_source is 'ledger or net_balance.';
comment on column metronome.current_snapshots.base_url is 'Where it was fetched.';
comment on column metronome.current_snapshots.state is 'complete or partial.';
comment on column metronome.current_snapshots.began_at is 'When its first request was made.';
comment on column metronome.current_snapshots.ended_at is 'When it was whole.';
comment on column metronome.current_snapshots.customers is 'How many customers it has.';
comment on column metronome.current_snapshots.failed is 'Of how many of them the fetch failed.';

-- Only this one credit type is in cents, whatever others are called.
create function metronome.units(amount numeric, credit_type_id text) returns numeric
    language sql immutable parallel safe
    return case
        when credit_type_id = '2714e483-4ff1-48e4-9e25-ac732e8f24f2' then round(amount * 0.01, greatest(min_scale(amount * 0.01), 2))
        else trim_scale(amount)
    end;
comment on function metronome.units(numeric, text) is 'An amount as people write it: USD (cents) in dollars with two decimals or more, other credit types as they are; every digit is kept.';

create function metronome.balances(day date) returns table (
    customer_id text,
    customer_name text,
    credit_type_id text,
    credit_type text,
    invoice_balance numeric,
    credit_balance numeric,
    notes text,
    error text,
    draft_total numeric,
    finalized_invoices bigint,
    latest_invoice_date date,
    latest_invoice_total numeric,
    credit_granted numeric,
    credit_used numeric,
    credit_pending numeric,
    customer_state text
)
    language sql stable parallel safe
begin atomic
    with invoiced as (
        select
            i.customer_id,
            i.credit_type_id,
            max(i.credit_type_name) as name,
            coalesce(sum(i.total) filter (where i.status = 'FINALIZED'), 0) as finalized,
            coalesce(sum(i.total) filter (where i.status = 'DRAFT'), 0) as draft,
            count(*) filter (where i.status = 'FINALIZED') as invoices
        from metronome.invoices as i
        where i.snapshot_id = (select s.id from metronome.current_snapshots as s where s.run_date = day)
        group by i.customer_id, i.credit_type_id
    ),
    latest as (
        select distinct on (i.customer_id, i.credit_type_id)
            i.customer_id,
            i.credit_type_id,
            (coalesce(i.issued_at, i.end_timestamp, i.start_timestamp) at time zone 'UTC')::date as dated,
            i.total
        from metronome.invoices as i
        where i.snapshot_id = (select s.id from metronome.current_snapshots as s where s.run_date = day)
          and i.status = 'FINALIZED'
        order by
            i.customer_id,
            i.credit_type_id,
            coalesce(i.issued_at, i.end_timestamp, i.start_timestamp) desc nulls last,
            i.id desc
    ),
    moved as (
        select
            e.customer_id,
            e.credit_type_id,
            e.amount,
            coalesce(e.running_balance - lag(e.running_balance) over w, e.amount) as change
        from metronome.ledger_entries as e
        where e.snapshot_id = (select s.id from metronome.current_snapshots as s where s.run_date = day)
          and not e.is_pending
        window w as (partition by e.customer_id, e.credit_type_id order by e.position)
    ),
    entered as (
        select
            m.customer_id,
            m.credit_type_id,
            sum(m.amount) as total,
            sum(greatest(m.amount, 0)) as added,
            sum(greatest(-m.amount, 0)) as deducted,
            sum(greatest(m.change, 0)) as risen,
            sum(greatest(-m.change, 0)) as fallen
        from moved as m
        group by m.customer_id, m.credit_type_id
    ),
    credited as (
        select
            l.customer_id,
            l.credit_type_id,
            l.credit_type_name as name,
            coalesce(e.total, 0) as total,
            l.ending_excluding_pending as ending,
            l.ending_including_pending - l.ending_excluding_pending as pending,
            -- Where the amounts don't add up, it is the running balance that tells which way each entry went.
            case when coalesce(e.total, 0) = l.ending_excluding_pending then e.added else e.risen end as granted,
            case when coalesce(e.total, 0) = l.ending_excluding_pending then e.deducted else e.fallen end as used
        from metronome.ledgers as l
        left join entered as e on e.customer_id = l.customer_id and e.credit_type_id = l.credit_type_id
        where l.snapshot_id = (select s.id from metronome.current_snapshots as s where s.run_date = day)
    ),
    netted as (
        select n.customer_id, n.credit_type_id, n.balance
        from metronome.net_balances as n
        where n.snapshot_id = (select s.id from metronome.current_snapshots as s where s.run_date = day)
    ),
    keys as (
        select i.customer_id, i.credit_type_id from invoiced as i
        union
        select c.customer_id, c.credit_type_id from credited as c
        union
        select n.customer_id, n.credit_type_id from netted as n
    )
    select
        c.id,
        c.name,
        k.credit_type_id,
        coalesce(
            i.name,
            l.name,
            case when k.credit_type_id = '2714e483-4ff1-48e4-9e25-ac732e8f24f2' then 'USD (cents)' else k.credit_type_id end
        ),
        case when c.error is null then metronome.units(coalesce(i.finalized, 0), k.credit_type_id) end,
        case when c.error is null then metronome.units(coalesce(n.balance, l.ending, 0), k.credit_type_id) end,
        case
            when c.error is not null then c.error
            when n.balance is not null then null
            when l.ending is null and not exists (select from credited as any_ledger where any_ledger.customer_id = c.id)
                then 'No credit ledger'
            when l.ending is null then 'No credit ledger of this credit type'
            when l.total <> l.ending then format(
                'Ledger entries add up to %s; the ending balance is reported',
                metronome.units(l.total, k.credit_type_id)
            )
        end,
        c.error,
        case when c.error is null then metronome.units(coalesce(i.draft, 0), k.credit_type_id) end,
        case when c.error is null then coalesce(i.invoices, 0) end,
        t.dated,
        metronome.units(t.total, k.credit_type_id),
        metronome.units(l.granted, k.credit_type_id),
        metronome.units(l.used, k.credit_type_id),
        metronome.units(l.pending, k.credit_type_id),
        case when c.archived_at is not null then 'archived' else c.billable_status end
    from metronome.customers as c
    left join keys as k on k.customer_id = c.id
    left join invoiced as i on i.customer_id = k.customer_id and i.credit_type_id = k.credit_type_id
    left join latest as t on t.customer_id = k.customer_id and t.credit_type_id = k.credit_type_id
    left join credited as l on l.customer_id = k.customer_id and l.credit_type_id = k.credit_type_id
    left join netted as n on n.customer_id = k.customer_id and n.credit_type_id = k.credit_type_id
    where c.snapshot_id = (select s.id from metronome.current_snapshots as s where s.run_date = day);
end;
comment on function metronome.balances(date) is 'A line for each customer and credit type of a run date, amounts in units; a customer whose fetch failed has one line with its error and no amounts.';
