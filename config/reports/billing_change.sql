-- Finalized invoices by the month in which their periods start. unit says what the totals are in; a customer that was
-- billed nothing before has no percentage.
with months as (
    select
        i.customer_id,
        i.credit_type_id,
        max(i.credit_type_name) as unit,
        coalesce(sum(i.total) filter (where i.start_timestamp < :month), 0) as before,
        coalesce(sum(i.total) filter (where i.start_timestamp >= :month), 0) as total
    from billing_invoice as i
    where i.status = 'FINALIZED'
      and i.start_timestamp >= :month - interval '1 month'
      and i.start_timestamp < :month + interval '1 month'
    group by i.customer_id, i.credit_type_id
)
select
    m.customer_id,
    c.name as customer,
    trim_scale(m.before) as total_before,
    trim_scale(m.total) as total,
    trim_scale(m.total - m.before) as change,
    round(100 * (m.total - m.before) / nullif(m.before, 0), 2) as change_percent,
    m.unit
from months as m
left join billing_customer as c on c.id = m.customer_id
order by abs(m.total - m.before) desc, c.name collate "C", m.customer_id, m.unit collate "C"
