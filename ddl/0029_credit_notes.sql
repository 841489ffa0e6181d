-- Credit notes: what an invoice file holds with a negative total. They are a kind of their own, listed with the invoices
-- and counted and summed beside them, never against them: which invoice a credit pays is not for us to say.

drop view receivables.named_invoices;
drop index receivables.invoices_due_date_idx, receivables.invoice_history_open_idx;

alter table receivables.invoices
    drop constraint invoices_bill_total_check,
    drop constraint invoices_applied_check,
    drop column outstanding;
alter table receivables.invoices
    add constraint invoices_applied_check check (case when bill_total < 0 then applied <= 0 else applied >= 0 end),
    add column kind text not null
        generated always as (case when bill_total < 0 then 'credit_note' else 'invoice' end) stored,
    add column outstanding numeric(18, 2) not null
        generated always as (case when bill_total < 0 then 0 else greatest(bill_total - applied, 0) end) stored,
    add column open_credit numeric(18, 2) not null
        generated always as (case when bill_total < 0 then greatest(applied - bill_total, 0) else 0 end) stored;
comment on table receivables.invoices is 'Every invoice and credit note that a file ever delivered, as the latest file that holds it says.';
comment on column receivables.invoices.kind is 'credit_note where the total is negative, else invoice.';
comment on column receivables.invoices.bill_total is 'What is billed, in the currency''s units; negative in a credit note.';
comment on column receivables.invoices.applied is 'What was paid or credited of it; of a credit note, what was used of it, negative like its total.';
comment on column receivables.invoices.outstanding is 'What is billed and not applied, never below 0; 0 of a credit note.';
comment on column receivables.invoices.open_credit is 'What is left of a credit note, as a positive amount; 0 of an invoice.';
create index invoices_due_date_idx on receivables.invoices (due_date, invoice_number) where outstanding > 0;
create index invoices_credit_notes_idx on receivables.invoices (invoice_number) where kind = 'credit_note';

alter table receivables.invoice_history
    add column kind text not null
        generated always as (case when bill_total < 0 then 'credit_note' else 'invoice' end) stored,
    add column open_credit numeric(18, 2) not null
        generated always as (case when bill_total < 0 then greatest(applied - bill_total, 0) else 0 end) stored;
comment on column receivables.invoice_history.kind is 'As it was.';
comment on column receivables.invoice_history.open_credit is 'As it was.';
create index invoice_history_open_idx on receivables.invoice_history (known_until) where outstanding > 0;

alter table receivables.billed_by_month
    add column credit_notes bigint not null default 0,
    add column credit_total numeric not null default 0;
comment on table receivables.billed_by_month is 'All invoices and all credit notes, counted and summed by the month of their date and by currency.';
comment on column receivables.billed_by_month.invoices is 'How many invoices there are.';
comment on column receivables.billed_by_month.credit_notes is 'How many credit notes there are.';
comment on column receivables.billed_by_month.credit_total is 'What is credited with them, negative.';

create view receivables.named_invoices as
select
    invoices.id,
    invoices.invoice_number,
    invoices.kind,
    invoices.customer_id,
    customers.name as customer_name,
    invoices.invoice_date,
    invoices.due_date,
    invoices.customer_po_number,
    invoices.bill_total,
    invoices.applied,
    invoices.outstanding,
    invoices.open_credit,
    invoices.currency,
    invoices.status,
    invoices.customer_terms,
    invoices.terms_days,
    invoices.known_since,
    invoices.load_id,
    invoices.missing_since
from receivables.invoices
join receivables.customers on customers.id = invoices.customer_id;
comment on view receivables.named_invoices is 'The invoices and credit notes with the names of their customers.';

comment on view receivables.counted_customers is 'The customers with the number of their invoices and credit notes.';
