-- $1 the customer; those below it, whatever the depth
with recursive below as (
    select id, customer_number from receivables.customers where id = $1
    union
    select child.id, child.customer_number
      from below
      join receivables.customers as child on child.parent_number = below.customer_number
)
select count(*) from below where id <> $1
