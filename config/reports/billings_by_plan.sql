-- Finalized invoices. unit says what the total is in; totals in different units are not added up.
select
    coalesce(p.name, i.plan_name) as plan,
    count(distinct i.customer_id) as customers,
    count(*) as invoices,
    trim_scale(sum(i.total)) as total,
    i.credit_type_name as unit
from billing_invoice as i
left join billing_plan as p on p.id = i.plan_id
where i.status = 'FINALIZED'
  and i.start_timestamp >= :month
  and i.start_timestamp < :month + interval '1 month'
group by i.plan_id, coalesce(p.name, i.plan_name), i.credit_type_id, i.credit_type_name
order by coalesce(p.name, i.plan_name) collate "C", i.credit_type_name collate "C", i.plan_id
