-- $1 a part of the name or null, $2 limit, $3 offset
select
    id,
    name as customer_name,
    customer_number,
    parent_number,
    contact_name,
    contact_email,
    contact_phone,
    (select count(*) from receivables.invoices where customer_id = customers.id) as invoices
from receivables.customers
where $1::text is null or strpos(name_key, receivables.name_key($1)) > 0
order by name_key collate "C"
limit $2 offset $3
