-- Line items of finalized invoices; one without a product goes by its own name. unit says what the total is in.
select
    coalesce(p.name, l.name) as product,
    count(distinct i.customer_id) as customers,
    count(*) as line_items,
    trim_scale(sum(l.total)) as total,
    coalesce(l.credit_type_name, i.credit_type_name) as unit
from billing_invoice as i
join billing_line_item as l on l.invoice_id = i.id
left join billing_product as p on p.id = l.product_id
where i.status = 'FINALIZED'
  and i.start_timestamp >= :month
  and i.start_timestamp < :month + interval '1 month'
group by l.product_id, coalesce(p.name, l.name), coalesce(l.credit_type_name, i.credit_type_name)
order by
    coalesce(p.name, l.name) collate "C",
    coalesce(l.credit_type_name, i.credit_type_name) collate "C",
    l.product_id
