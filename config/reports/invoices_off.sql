-- Invoices whose total is not the sum of their line items (no line_item_id), and line items whose total is not the sum
-- of what they are made of; a line that is made of nothing is not looked at. unit says what the totals are in.
with invoices as (
    select * from billing_invoice
    where status is distinct from 'VOID'
      and (:month is null or (start_timestamp >= :month and start_timestamp < :month + interval '1 month'))
),
sums as (
    select
        i.id as invoice_id,
        null::uuid as line_item_id,
        null::text as product,
        coalesce(i.total, 0) as total,
        (select coalesce(sum(l.total), 0) from billing_line_item as l where l.invoice_id = i.id) as parts,
        i.credit_type_name as unit
    from invoices as i
    union all
    select l.invoice_id, l.id, coalesce(p.name, l.name), coalesce(l.total, 0), s.parts, l.credit_type_name
    from billing_line_item as l
    join (
        select line_item_id, coalesce(sum(subtotal), 0) as parts from billing_sub_line_item group by line_item_id
    ) as s on s.line_item_id = l.id
    left join billing_product as p on p.id = l.product_id
    where l.invoice_id in (select id from invoices)
)
select
    s.invoice_id,
    c.name as customer,
    i.start_timestamp as period_start,
    s.line_item_id,
    s.product,
    trim_scale(s.total) as total,
    trim_scale(s.parts) as sum_of_parts,
    trim_scale(s.total - s.parts) as difference,
    s.unit
from sums as s
join invoices as i on i.id = s.invoice_id
left join billing_customer as c on c.id = i.customer_id
where s.total <> s.parts
order by i.start_timestamp, s.invoice_id, s.line_item_id nulls first
