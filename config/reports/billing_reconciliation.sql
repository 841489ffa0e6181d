-- What finalized invoices charge for, against the events of their periods (days, UTC). A metric is compared by its name,
-- written with x, as billing_export.meters says which events it counts.
--   differs        both are there, and are not the same
--   not metered    invoiced, and no event of the period counts for it
--   no meter       invoiced, and nothing says which events count for it
--   not invoiced   events of a month for which the customer has no finalized invoice with such a line
--   agrees         the same
with periods as (
    select i.id, i.customer_id, i.start_timestamp::date as first_day, (i.end_timestamp - interval '1 microsecond')::date as last_day
    from billing_invoice as i
    where i.status = 'FINALIZED'
      and i.start_timestamp >= :month
      and i.start_timestamp < :month + interval '1 month'
),
invoiced as (
    select
        p.customer_id,
        p.first_day,
        p.last_day,
        billing_export.plain(coalesce(m.name, s.billable_metric_name)) as metric,
        sum(s.quantity) as quantity
    from periods as p
    join billing_line_item as l on l.invoice_id = p.id
    join billing_sub_line_item as s on s.line_item_id = l.id
    left join billing_billable_metric as m on m.id = s.billable_metric_id
    where s.billable_metric_id is not null
    group by 1, 2, 3, 4
),
used as (
    select a.customer_id, u.day, concat(u.metric, ' (' || u.qualifier || ')') as metric, sum(u.quantity) as quantity
    from billing_export.usage_between(
        least(:month, (select min(first_day) from periods)),
        greatest((:month + interval '1 month - 1 day')::date, (select max(last_day) from periods))
    ) as u
    join billing_export.aliases() as a on a.alias = u.alias
    group by 1, 2, 3
),
charged as (
    select
        i.*,
        (
            select sum(u.quantity) from used as u
            where u.customer_id = i.customer_id and u.metric = i.metric and u.day between i.first_day and i.last_day
        ) as metered,
        exists (
            select from billing_export.meters as m
            where i.metric = m.metric or starts_with(i.metric, m.metric || ' (')
        ) as has_meter
    from invoiced as i
),
unbilled as (
    select u.customer_id, u.metric, sum(u.quantity) as metered
    from used as u
    where u.day >= :month
      and u.day < :month + interval '1 month'
      and exists (select from billing_billable_metric as m where billing_export.plain(m.name) = u.metric)
      and not exists (
          select from invoiced as i
          where i.customer_id = u.customer_id and i.metric = u.metric and u.day between i.first_day and i.last_day
      )
    group by 1, 2
),
lines as (
    select
        case
            when not has_meter then 'no meter'
            when metered is null then 'not metered'
            when metered <> quantity then 'differs'
            else 'agrees'
        end as finding,
        customer_id, metric, first_day, last_day, quantity as invoiced, metered
    from charged
    union all
    select 'not invoiced', customer_id, metric, :month, (:month + interval '1 month - 1 day')::date, null, metered
    from unbilled
)
select
    n.finding,
    coalesce(c.name, n.customer_id::text) as customer,
    n.metric,
    n.first_day as period_start,
    n.last_day as period_end,
    trim_scale(n.invoiced) as invoiced,
    trim_scale(n.metered) as metered,
    trim_scale(coalesce(n.invoiced, 0) - coalesce(n.metered, 0)) as difference
from lines as n
left join billing_customer as c on c.id = n.customer_id
where :customer is null or c.name = :customer or n.customer_id::text = lower(:customer)
order by
    array_position(array['differs', 'not metered', 'no meter', 'not invoiced', 'agrees'], n.finding),
    c.name collate "C",
    n.customer_id,
    n.metric collate "C",
    n.first_day
