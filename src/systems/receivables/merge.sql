-- Merges the rows of one invoice file, which lie in {staged} in the order of the file, into customers and invoices.
-- Whoever runs it holds the lock against other loads of these tables.

set local work_mem = '64MB';
set local maintenance_work_mem = '256MB';

analyze {staged} (invoice_number);

-- What the rows say of customers: few lines beside the invoices themselves.
create temporary table bursar_said on commit drop as
select
    customer_name,
    nullif(contact_name, '') as contact_name,
    nullif(contact_email, '') as contact_email,
    nullif(contact_phone, '') as contact_phone,
    nullif(customer_number, '') as customer_number,
    nullif(parent_customer, '') as parent_customer,
    min(ctid) as place,
    max(invoice_date) as last_seen_invoice_date
from {staged} as staged
group by 1, 2, 3, 4, 5, 6;
analyze bursar_said (customer_name);

create temporary table bursar_named on commit drop as
select name, receivables.name_key(name) as name_key, place
  from (select customer_name as name, min(place) as place from bursar_said group by customer_name) as named;
analyze bursar_named (name, name_key);

-- What the file says of each customer: the spelling that stands first, the first contact that is not blank, the numbers
-- of the first row that has any.
create temporary table bursar_customers on commit drop as
with spelling as (
    select distinct on (name_key) name_key, regexp_replace(btrim(name), '\s+', ' ', 'g') as name, place
      from bursar_named
     order by name_key, place
), contact as (
    select distinct on (name_key) name_key, contact_name, contact_email, contact_phone, true as is_there
      from bursar_said as said
      join bursar_named as named on named.name = said.customer_name
     where coalesce(contact_name, contact_email, contact_phone) is not null
     order by name_key, said.place
), numbers as (
    select distinct on (name_key) name_key, customer_number, parent_customer, true as are_there
      from bursar_said as said
      join bursar_named as named on named.name = said.customer_name
     where coalesce(customer_number, parent_customer) is not null
     order by name_key, said.place
)
select
    name_key,
    name,
    place,
    contact_name,
    contact_email,
    contact_phone,
    coalesce(is_there, false) and (
        {is_whole}
        or not exists (
            select from receivables.customers as known
             where known.name_key = spelling.name_key
               and coalesce(known.contact_name, known.contact_email, known.contact_phone) is not null
        )
    ) as has_contact,
    customer_number,
    parent_customer,
    coalesce(are_there, false) and (
        {is_whole}
        or not exists (
            select from receivables.customers as known
             where known.name_key = spelling.name_key
               and coalesce(known.customer_number, known.parent_number) is not null
        )
    ) as has_numbers
from spelling
left join contact using (name_key)
left join numbers using (name_key);

-- One that is known keeps its id and its name; of what the file does not say it keeps what it has.
update receivables.customers as known
   set contact_name = case when has_contact then said.contact_name else known.contact_name end,
       contact_email = case when has_contact then said.contact_email else known.contact_email end,
       contact_phone = case when has_contact then said.contact_phone else known.contact_phone end,
       customer_number = case when has_numbers then said.customer_number else known.customer_number end,
       parent_number = case when has_numbers then said.parent_customer else known.parent_number end,
       load_id = {load_id}
  from bursar_customers as said
 where said.name_key = known.name_key
   and (has_contact and (known.contact_name, known.contact_email, known.contact_phone)
        is distinct from (said.contact_name, said.contact_email, said.contact_phone)
        or has_numbers and (known.customer_number, known.parent_number)
        is distinct from (said.customer_number, said.parent_customer));

insert into receivables.customers
    (name, name_key, contact_name, contact_email, contact_phone, customer_number, parent_number, load_id)
select name, name_key, contact_name, contact_email, contact_phone, customer_number, parent_customer, {load_id}
  from bursar_customers as said
 where not exists (select from receivables.customers as known where known.name_key = said.name_key)
 order by place;

-- All spellings of the file, with their customer.
create temporary table bursar_known on commit drop as
select named.name, known.id
  from bursar_named as named
  join receivables.customers as known using (name_key);
analyze bursar_known;

insert into receivables.contacts as known
    (customer_id, contact_name, contact_email, contact_phone, last_seen_invoice_date, load_id)
select
    known.id,
    coalesce(contact_name, ''),
    coalesce(contact_email, ''),
    coalesce(contact_phone, ''),
    max(last_seen_invoice_date),
    {load_id}
from bursar_said
join bursar_known as known on known.name = customer_name
where coalesce(contact_name, contact_email, contact_phone) is not null
group by 1, 2, 3, 4
    on conflict on constraint contacts_pkey do update
   set last_seen_invoice_date = excluded.last_seen_invoice_date, load_id = excluded.load_id
 where known.last_seen_invoice_date < excluded.last_seen_invoice_date
    or {is_whole} and known.last_seen_invoice_date <> excluded.last_seen_invoice_date;

create temporary table bursar_terms on commit drop as
select customer_terms, case when customer_terms ~* '^net [0-9]{1,4}$' then substr(customer_terms, 5)::integer end as days
  from (select distinct customer_terms from {staged}) as terms
 where customer_terms is not null;
analyze bursar_terms;

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
left join bursar_terms as terms using (customer_terms);

-- A row that was rejected is in the file as well: its number is what the reject says of it.
create temporary table bursar_rejected on commit drop as
select btrim(header.value) as invoice_number
  from bursar.file_invalid_rows as rejected
 cross join lateral jsonb_each_text(rejected.payload) as header
 where rejected.load_id = {load_id} and {is_whole}
   and lower(regexp_replace(btrim(header.key), '\s+', '_', 'g')) in ({key_headers});

create temporary table bursar_book on commit drop as
select count(*) as invoices, count(*) = 0 as is_empty from receivables.invoices;

-- Where the book and the file differ, with what the file says. An empty book is not compared: all is new to it.
create temporary table bursar_differences on commit drop as
select
    case
        when was.id is null then 'new'
        when is_now.invoice_number is null then 'missing'
        when is_other then 'changed'
        else 'back'
    end as difference,
    was.id,
    was.invoice_number as known_number,
    is_now.*
from (
    select *
      from receivables.invoices
     where {is_whole} or invoice_number in (select invoice_number from {staged})
) as was
full join bursar_invoices as is_now on is_now.invoice_number = was.invoice_number
cross join lateral (
    select (was.customer_id, was.invoice_date, was.due_date, was.customer_po_number, was.bill_total, was.applied,
            was.status, was.currency, was.customer_terms, was.terms_days)
           is distinct from
           (is_now.customer_id, is_now.invoice_date, is_now.due_date, is_now.customer_po_number, is_now.bill_total,
            is_now.applied, is_now.status, is_now.currency, is_now.customer_terms, is_now.terms_days) as is_other
) as compared
where not (select is_empty from bursar_book)
  and case when is_now.invoice_number is null then was.missing_since is null
      else was.missing_since is not null or is_other end;
analyze bursar_differences;

insert into receivables.invoice_history
    (invoice_id, invoice_number, customer_id, invoice_date, due_date, customer_po_number, bill_total, applied, status,
     currency, customer_terms, terms_days, outstanding, known_since, load_id, known_until, replaced_by)
select
    was.id, was.invoice_number, was.customer_id, was.invoice_date, was.due_date, was.customer_po_number, was.bill_total,
    was.applied, was.status, was.currency, was.customer_terms, was.terms_days, was.outstanding, was.known_since,
    was.load_id, greatest(was.known_since, '{run_date}'), {load_id}
from bursar_differences
join receivables.invoices as was using (id)
where difference = 'changed';

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
       load_id = {load_id},
       missing_since = null
  from bursar_differences as is_now
 where is_now.id = was.id and difference = 'changed';

-- An invoice that the file does not hold any more stays, and is said to be missing; one that is back, as itself or
-- rejected, is not.
update receivables.invoices as was
   set missing_since = '{run_date}'
  from bursar_differences as missing
 where missing.id = was.id
   and difference = 'missing'
   and not exists (select from bursar_rejected as rejected where rejected.invoice_number = known_number);

update receivables.invoices as was
   set missing_since = null
 where was.missing_since is not null
   and (was.id in (select id from bursar_differences where difference = 'back')
        or was.invoice_number in (select invoice_number from bursar_rejected));

-- The first file of all: what makes sure of single rows, or finds them, is made once all are there.
create temporary table bursar_later on commit drop as
select format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as makes,
       format('alter table %s drop constraint %I', conrelid::regclass, conname) as removes,
       contype = 'f' as refers
  from pg_constraint
 where (select is_empty from bursar_book)
   and contype in ('p', 'u', 'f')
   and 'receivables.invoices'::regclass in (conrelid, confrelid)
 union all
select pg_get_indexdef(indexrelid), format('drop index %s', indexrelid::regclass), false
  from pg_index
 where (select is_empty from bursar_book)
   and indrelid = 'receivables.invoices'::regclass
   and not exists (select from pg_constraint where conindid = indexrelid);

do $$
declare
    removes text;
begin
    for removes in select later.removes from bursar_later as later order by refers desc loop
        execute removes;
    end loop;
end $$;

insert into receivables.invoices
    (invoice_number, customer_id, invoice_date, due_date, customer_po_number, bill_total, applied, status, currency,
     customer_terms, terms_days, known_since, load_id)
select
    invoice_number, customer_id, invoice_date, due_date, customer_po_number, bill_total, applied, status, currency,
    customer_terms, terms_days, date '{run_date}', {load_id}
from bursar_invoices
where (select is_empty from bursar_book)
union all
select
    invoice_number, customer_id, invoice_date, due_date, customer_po_number, bill_total, applied, status, currency,
    customer_terms, terms_days, date '{run_date}', {load_id}
from bursar_differences
where difference = 'new';

drop view bursar_invoices;

do $$
declare
    makes text;
begin
    for makes in select later.makes from bursar_later as later order by refers loop
        execute makes;
    end loop;
    if (select is_empty from bursar_book) then
        analyze receivables.invoices;
    end if;
end $$;

delete from receivables.open_by_due_date;
insert into receivables.open_by_due_date (due_date, currency, invoices, outstanding)
select due_date, currency, count(*), sum(outstanding)
  from receivables.invoices
 where outstanding > 0
 group by due_date, currency;

delete from receivables.billed_by_month;
insert into receivables.billed_by_month (month, currency, invoices, bill_total, credit_notes, credit_total)
select
    date_trunc('month', invoice_date)::date,
    currency,
    coalesce(sum(number) filter (where kind = 'invoice'), 0),
    coalesce(sum(total) filter (where kind = 'invoice'), 0),
    coalesce(sum(number) filter (where kind = 'credit_note'), 0),
    coalesce(sum(total) filter (where kind = 'credit_note'), 0)
  from (
      select invoice_date, currency, kind, count(*) as number, sum(bill_total) as total
        from receivables.invoices
       group by invoice_date, currency, kind
  ) as by_day
 group by 1, 2;

select
    inserted,
    updated,
    (select count(*) from {staged}) - inserted - updated as unchanged
from (
    select
        (select count(*) from receivables.invoices) - (select invoices from bursar_book) as inserted,
        (select count(*) from bursar_differences where difference = 'changed') as updated
) as counted;
