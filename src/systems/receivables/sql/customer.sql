-- $1 the customer
select * from receivables.counted_customers where id = $1
