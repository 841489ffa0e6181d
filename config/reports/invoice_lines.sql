-- An invoice is of the month in which its period starts: one of a single day before the first does not belong to it.
-- unit says what prices and totals are in. A line that is made of nothing (a credit) stands for itself.
select
    i.id as invoice_id,
    c.name as customer,
    coalesce(p.name, l.name) as product,
    coalesce(s.name, l.name) as description,
    trim_scale(coalesce(s.quantity, l.quantity)) as quantity,
    trim_scale(coalesce(s.subtotal / nullif(s.quantity, 0), l.total / nullif(l.quantity, 0))) as unit_price,
    trim_scale(coalesce(s.subtotal, l.total)) as total,
    coalesce(l.credit_type_name, i.credit_type_name) as unit
from billing_customer as c
join billing_invoice as i on i.customer_id = c.id
join billing_line_item as l on l.invoice_id = i.id
left join billing_product as p on p.id = l.product_id
left join billing_sub_line_item as s on s.line_item_id = l.id
where (c.name = :customer or c.id::text = lower(:customer))
  and i.status = 'FINALIZED'
  and i.start_timestamp >= :month
  and i.start_timestamp < :month + interval '1 month'
order by
    i.start_timestamp,
    i.id,
    coalesce(p.name, l.name) collate "C",
    coalesce(s.name, l.name) collate "C",
    l.id,
    s.id
