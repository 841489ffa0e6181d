-- Accounts receivable: who owes what, as the invoice file delivered last says, and what it said before.

create schema receivables;
comment on schema receivables is 'Accounts receivable: customers, invoices, and how they changed. Written by loads of the dataset that goes into the system receivables.';

-- Two spellings are one customer where they differ in case, in blanks, or in how Unicode composes a letter only: the
-- questions of the API are asked without regard to case, and could not tell them apart.
create function receivables.name_key(name text) returns text
    language sql immutable strict parallel safe
    return lower(upper(btrim(regexp_replace(normalize(name, nfkc), '\s+', ' ', 'g'))));
comment on function receivables.name_key(text) is 'What tells customers apart: the name without regard to case, blanks at its ends or repeated, and Unicode composition.';

create table receivables.customers (
    id bigint generated always as identity constraint customers_pkey primary key,
    name text not null constraint customers_name_key unique,
    name_key text not null constraint customers_name_key_key unique,
    customer_number text,
    parent_number text,
    contact_name text,
    contact_email text,
    contact_phone text,
    load_id bigint not null
);
comment on table receivables.customers is 'Who is billed. A customer keeps its id from load to load.';
comment on column receivables.customers.id is 'Never given to another customer.';
comment on column receivables.customers.name is 'As it was spelt first.';
comment on column receivables.customers.name_key is 'receivables.name_key of the name.';
comment on column receivables.customers.customer_number is 'Its number, as the file says; null where no file did.';
comment on column receivables.customers.parent_number is 'The number of the customer it belongs to, as the file says; null where no file did.';
comment on column receivables.customers.contact_name is 'Of the first row with a contact in the file that named one last.';
comment on column receivables.customers.contact_email is 'Of the same row.';
comment on column receivables.customers.contact_phone is 'Of the same row.';
comment on column receivables.customers.load_id is 'The load (bursar.loads) that made or changed it last.';
create index customers_number_idx on receivables.customers (customer_number) where customer_number is not null;
create index customers_parent_idx on receivables.customers (parent_number) where parent_number is not null;

create table receivables.contacts (
    customer_id bigint not null constraint contacts_customer_fkey references receivables.customers,
    contact_name text not null,
    contact_email text not null,
    contact_phone text not null,
    last_seen_invoice_date date not null,
    load_id bigint not null,
    constraint contacts_pkey primary key (customer_id, contact_name, contact_email, contact_phone)
);
comment on table receivables.contacts is 'Every contact that a file ever named for a customer; an empty text where it had none.';
comment on column receivables.contacts.customer_id is 'The customer.';
comment on column receivables.contacts.contact_name is 'The person.';
comment on column receivables.contacts.contact_email is 'The e-mail address.';
comment on column receivables.contacts.contact_phone is 'The telephone number.';
comment on column receivables.contacts.last_seen_invoice_date is 'The date of the latest invoice with this contact, in the file that named it last.';
comment on column receivables.contacts.load_id is 'The load that made or changed it last.';

create table receivables.invoices (
    id bigint generated always as identity constraint invoices_pkey primary key,
    invoice_number text not null constraint invoices_number_key unique,
    customer_id bigint not null constraint invoices_customer_fkey references receivables.customers,
    invoice_date date not null,
    due_date date not null,
    customer_po_number text,
    bill_total numeric(18, 2) not null constraint invoices_bill_total_check check (bill_total >= 0),
    applied numeric(18, 2) not null constraint invoices_applied_check check (applied >= 0),
    status text not null constraint invoices_status_check check (status in ('Closed', 'Pending')),
    currency text not null constraint invoices_currency_check check (length(currency) = 3),
    customer_terms text,
    terms_days integer,
    outstanding numeric(18, 2) not null generated always as (greatest(bill_total - applied, 0)) stored,
    known_since date not null,
    load_id bigint not null,
    missing_since date
);
comment on table receivables.invoices is 'Every invoice that a file ever delivered, as the latest file that holds it says.';
comment on column receivables.invoices.id is 'Never given to another invoice.';
comment on column receivables.invoices.invoice_number is 'What tells invoices apart.';
comment on column receivables.invoices.customer_id is 'Who is billed.';
comment on column receivables.invoices.invoice_date is 'When it was written.';
comment on column receivables.invoices.due_date is 'From the file; where that leaves it blank, the invoice date and the days of the terms.';
comment on column receivables.invoices.customer_po_number is 'The customer''s purchase order.';
comment on column receivables.invoices.bill_total is 'What is billed, in the currency''s units.';
comment on column receivables.invoices.applied is 'What was paid or credited of it.';
comment on column receivables.invoices.status is 'Closed or Pending, as the file says.';
comment on column receivables.invoices.currency is 'ISO 4217. Amounts of several currencies are never added.';
comment on column receivables.invoices.customer_terms is 'As the file says, such as Net 30.';
comment on column receivables.invoices.terms_days is 'The days of terms written as Net N; null for others.';
comment on column receivables.invoices.outstanding is 'What is billed and not applied, never below 0.';
comment on column receivables.invoices.known_since is 'The run date since which it is known to be so.';
comment on column receivables.invoices.load_id is 'The load (bursar.loads) that made or changed it last.';
comment on column receivables.invoices.missing_since is 'The run date of the first file that did not hold it any more; null while the latest file does.';
create index invoices_customer_id_idx on receivables.invoices (customer_id, invoice_date);
create index invoices_invoice_date_idx on receivables.invoices (invoice_date);
create index invoices_due_date_idx on receivables.invoices (due_date, invoice_number) where applied < bill_total;
create index invoices_missing_idx on receivables.invoices (missing_since, invoice_number) where missing_since is not null;

create table receivables.invoice_history (
    invoice_id bigint not null constraint invoice_history_invoice_fkey references receivables.invoices,
    invoice_number text not null,
    customer_id bigint not null constraint invoice_history_customer_fkey references receivables.customers,
    invoice_date date not null,
    due_date date not null,
    customer_po_number text,
    bill_total numeric(18, 2) not null,
    applied numeric(18, 2) not null,
    status text not null,
    currency text not null,
    customer_terms text,
    terms_days integer,
    outstanding numeric(18, 2) not null,
    known_since date not null,
    load_id bigint not null,
    known_until date not null,
    replaced_by bigint not null
);
comment on table receivables.invoice_history is 'What invoices were before a load changed them. What they are now is not in it.';
comment on column receivables.invoice_history.invoice_id is 'The invoice.';
comment on column receivables.invoice_history.invoice_number is 'Its number.';
comment on column receivables.invoice_history.customer_id is 'Who was billed.';
comment on column receivables.invoice_history.invoice_date is 'As it was.';
comment on column receivables.invoice_history.due_date is 'As it was.';
comment on column receivables.invoice_history.customer_po_number is 'As it was.';
comment on column receivables.invoice_history.bill_total is 'As it was.';
comment on column receivables.invoice_history.applied is 'As it was.';
comment on column receivables.invoice_history.status is 'As it was.';
comment on column receivables.invoice_history.currency is 'As it was.';
comment on column receivables.invoice_history.customer_terms is 'As it was.';
comment on column receivables.invoice_history.terms_days is 'As it was.';
comment on column receivables.invoice_history.outstanding is 'As it was.';
comment on column receivables.invoice_history.known_since is 'The first run date on which it was known to be so.';
comment on column receivables.invoice_history.load_id is 'The load that made it so.';
comment on column receivables.invoice_history.known_until is 'The first run date on which it was known to be otherwise; that of known_since where it was corrected the same day.';
comment on column receivables.invoice_history.replaced_by is 'The load that changed it.';
create index invoice_history_invoice_idx on receivables.invoice_history (invoice_id, known_until);
create index invoice_history_open_idx on receivables.invoice_history (known_until) where applied < bill_total;

-- Sums that a load brings up to date in its own transaction, so that the answers over all invoices cost the same
-- whatever their number.
create table receivables.open_by_due_date (
    due_date date not null,
    currency text not null,
    invoices bigint not null,
    outstanding numeric not null,
    constraint open_by_due_date_pkey primary key (due_date, currency)
);
comment on table receivables.open_by_due_date is 'The invoices with something outstanding, counted and summed by due date and currency.';
comment on column receivables.open_by_due_date.due_date is 'When they are due.';
comment on column receivables.open_by_due_date.currency is 'Their currency.';
comment on column receivables.open_by_due_date.invoices is 'How many there are.';
comment on column receivables.open_by_due_date.outstanding is 'What is outstanding of them.';

create table receivables.billed_by_month (
    month date not null,
    currency text not null,
    invoices bigint not null,
    bill_total numeric not null,
    constraint billed_by_month_pkey primary key (month, currency)
);
comment on table receivables.billed_by_month is 'All invoices, counted and summed by the month of their invoice date and by currency.';
comment on column receivables.billed_by_month.month is 'The first day of the month.';
comment on column receivables.billed_by_month.currency is 'Their currency.';
comment on column receivables.billed_by_month.invoices is 'How many there are.';
comment on column receivables.billed_by_month.bill_total is 'What is billed with them.';
