-- Merges the rows of one invoice file, which lie in {staged} in the order of the file, into customers and invoices.
-- Whoever runs it holds the lock against other loads of these tables.

create temporary table bursar_named on commit drop as
select
    customer_name as name,
    receivables.name_key(customer_name) as name_key,
    min(ctid) as place
from {staged}
group by customer_name;

-- A customer that is new gets the spelling that stands first in the file; one that is known keeps its id and its name.
insert into receivables.customers (name, name_key, load_id)
select distinct on (name_key) regexp_replace(btrim(name), '\s+', ' ', 'g'), name_key, {load_id}
  from bursar_named
 where not exists (select from receivables.customers as known where known.name_key = bursar_named.name_key)
 order by name_key, place;

-- All spellings of the file, with their customer.
create temporary table bursar_known on commit drop as
select named.name, known.id
  from bursar_named as named
  join receivables.customers as known using (name_key);
create unique index on bursar_known (name);
analyze bursar_known;

-- Every contact of every customer, with the place of its first row.
create temporary table bursar_contacts on commit drop as
select
    known.id as customer_id,
    coalesce(contact_name, '') as contact_name,
    coalesce(contact_email, '') as contact_email,
    coalesce(contact_phone, '') as contact_phone,
    min(staged.ctid) as place,
    max(invoice_date) as last_seen_invoice_date
from {staged} as staged
join bursar_known as known on known.name = customer_name
where coalesce(nullif(contact_name, ''), nullif(contact_email, ''), nullif(contact_phone, '')) is not null
group by 1, 2, 3, 4;

insert into receivables.contacts as known
    (customer_id, contact_name, contact_email, contact_phone, last_seen_invoice_date, load_id)
select customer_id, contact_name, contact_email, contact_phone, last_seen_invoice_date, {load_id}
  from bursar_contacts
    on conflict on constraint contacts_pkey do update
   set last_seen_invoice_date = excluded.last_seen_invoice_date, load_id = excluded.load_id
 where known.last_seen_invoice_date <> excluded.last_seen_invoice_date;

-- Of a customer's contacts the first of the file counts; numbers are those of its first row that has them. A file
-- without them says nothing of them.
with first_contact as (
    select distinct on (customer_id)
        customer_id as id,
        nullif(contact_name, '') as contact_name,
        nullif(contact_email, '') as contact_email,
        nullif(contact_phone, '') as contact_phone
    from bursar_contacts
    order by customer_id, place
), numbers as (
    select distinct on (known.id) known.id, staged.customer_number, staged.parent_customer
      from {staged} as staged
      join bursar_known as known on known.name = staged.customer_name
     where staged.customer_number is not null or staged.parent_customer is not null
     order by known.id, staged.ctid
), said as (
    select
        known.id,
        case when first_contact.id is null then known.contact_name else first_contact.contact_name end as contact_name,
        case when first_contact.id is null then known.contact_email else first_contact.contact_email end as contact_email,
        case when first_contact.id is null then known.contact_phone else first_contact.contact_phone end as contact_phone,
        case when numbers.id is null then known.customer_number else numbers.customer_number end as customer_number,
        case when numbers.id is null then known.parent_number else numbers.parent_customer end as parent_number
    from receivables.customers as known
    left join first_contact using (id)
    left join numbers using (id)
    where first_contact.id is not null or numbers.id is not null
)
update receivables.customers as known
   set contact_name = said.contact_name,
       contact_email = said.contact_email,
       contact_phone = said.contact_phone,
       customer_number = said.customer_number,
       parent_number = said.parent_number,
       load_id = {load_id}
  from said
 where said.id = known.id
   and (known.contact_name, known.contact_email, known.contact_phone, known.customer_number, known.parent_number)
       is distinct from
       (said.contact_name, said.contact_email, said.contact_phone, said.customer_number, said.parent_number);

-- The rows as invoices. A due date that the file leaves blank follows from the terms.
create temporary view bursar_invoices as
select
    staged.invoice_number,
    known.id as customer_id,
    staged.invoice_date,
    coalesce(staged.due_date, staged.invoice_date + terms.days) as due_date,
    staged.customer_po_number,
    staged.bill_total,
    staged.applied,
    staged.status,
    staged.currency,
    staged.customer_terms,
    terms.days as terms_days
from {staged} as staged
join bursar_known as known on known.name = staged.customer_name
cross join lateral (
    select case when customer_terms ~* '^net [0-9]{1,4}$' then substr(customer_terms, 5)::integer end as days
) as terms;

-- Invoices that say something else now, as they were.
create temporary table bursar_changed on commit drop as
select was.id, is_now.*
  from receivables.invoices as was
  join bursar_invoices as is_now using (invoice_number)
 where (was.customer_id, was.invoice_date, was.due_date, was.customer_po_number, was.bill_total, was.applied,
        was.status, was.currency, was.customer_terms, was.terms_days)
       is distinct from
       (is_now.customer_id, is_now.invoice_date, is_now.due_date, is_now.customer_po_number, is_now.bill_total,
        is_now.applied, is_now.status, is_now.currency, is_now.customer_terms, is_now.terms_days);

insert into receivables.invoice_history
    (invoice_id, invoice_number, customer_id, invoice_date, due_date, customer_po_number, bill_total, applied, status,
     currency, customer_terms, terms_days, outstanding, known_since, load_id, known_until, replaced_by)
select
    was.id, was.invoice_number, was.customer_id, was.invoice_date, was.due_date, was.customer_po_number, was.bill_total,
    was.applied, was.status, was.currency, was.customer_terms, was.terms_days, was.outstanding, was.known_since,
    was.load_id, greatest(was.known_since, '{run_date}'), {load_id}
from bursar_changed
join receivables.invoices as was using (id);

update receivables.invoices as was
   set customer_id = is_now.customer_id,
       invoice_date = is_now.invoice_date,
       due_date = is_now.due_date,
       customer_po_number = is_now.customer_po_number,
       bill_total = is_now.bill_total,
       applied = is_now.applied,
       status = is_now.status,
       currency = is_now.currency,
       customer_terms = is_now.customer_terms,
       terms_days = is_now.terms_days,
       known_since = greatest(was.known_since, '{run_date}'),
       load_id = {load_id}
  from bursar_changed as is_now
 where is_now.id = was.id;

-- An invoice that the file does not hold any more stays, and is said to be missing; one that is back is not.
update receivables.invoices as was
   set missing_since = case when was.missing_since is null then date '{run_date}' end
 where (was.missing_since is null)
     = (not exists (select from {staged} as staged where staged.invoice_number = was.invoice_number));

create temporary table bursar_counted on commit drop as
select count(*) as known from receivables.invoices;

insert into receivables.invoices
    (invoice_number, customer_id, invoice_date, due_date, customer_po_number, bill_total, applied, status, currency,
     customer_terms, terms_days, known_since, load_id)
select
    invoice_number, customer_id, invoice_date, due_date, customer_po_number, bill_total, applied, status, currency,
    customer_terms, terms_days, '{run_date}', {load_id}
from bursar_invoices as is_now
where not exists (select from receivables.invoices as was where was.invoice_number = is_now.invoice_number);

drop view bursar_invoices;

delete from receivables.open_by_due_date;
insert into receivables.open_by_due_date (due_date, currency, invoices, outstanding)
select due_date, currency, count(*), sum(outstanding)
  from receivables.invoices
 where applied < bill_total
 group by due_date, currency;

delete from receivables.billed_by_month;
insert into receivables.billed_by_month (month, currency, invoices, bill_total)
select date_trunc('month', invoice_date)::date, currency, count(*), sum(bill_total)
  from receivables.invoices
 group by 1, 2;

select
    inserted,
    updated,
    (select count(*) from {staged}) - inserted - updated as unchanged
from (
    select
        (select count(*) from receivables.invoices) - (select known from bursar_counted) as inserted,
        (select count(*) from bursar_changed) as updated
) as counted;
