-- $1 the name
select id, name, (select count(*) from receivables.contacts where customer_id = id) as contacts
  from receivables.customers
 where name_key = receivables.name_key($1)
