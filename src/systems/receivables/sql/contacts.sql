-- $1 the customer, $2 limit, $3 offset
select
    nullif(contact_name, '') as contact_name,
    nullif(contact_email, '') as contact_email,
    nullif(contact_phone, '') as contact_phone,
    last_seen_invoice_date
from receivables.contacts
where customer_id = $1
order by last_seen_invoice_date desc, contact_name collate "C", contact_email collate "C", contact_phone collate "C"
limit $2 offset $3
