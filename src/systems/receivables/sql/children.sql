-- $1 the customer, $2 limit, $3 offset; those below it, whatever the depth
with recursive below as (
    select id, customer_number from receivables.customers where id = $1
    union
    select child.id, child.customer_number
      from below
      join receivables.customers as child on child.parent_number = below.customer_number
)
select id, name as customer_name, customer_number
  from receivables.customers
 where id in (select id from below) and id <> $1
 order by name_key collate "C", id
 limit $2 offset $3
