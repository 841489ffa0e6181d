-- $1 the customer
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
where id = $1
