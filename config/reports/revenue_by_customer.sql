-- Finalized invoices. unit says what the total is in.
select
    i.customer_id,
    c.name as customer,
    count(*) as invoices,
    trim_scale(sum(i.total)) as total,
    i.credit_type_name as unit
from billing_invoice as i
left join billing_customer as c on c.id = i.customer_id
where i.status = 'FINALIZED'
  and i.start_timestamp >= :month
  and i.start_timestamp < :month + interval '1 month'
group by i.customer_id, c.name, i.credit_type_id, i.credit_type_name
order by c.name collate "C", i.customer_id, i.credit_type_name collate "C"
