-- A customer is one that an event's alias points to, else the alias. Events whose quantity is no number count for none.
select
    u.day,
    coalesce(a.customer, u.alias) as customer,
    concat(u.metric, ' (' || u.qualifier || ')') as metric,
    trim_scale(coalesce(sum(u.quantity), 0)) as quantity,
    sum(u.events)::bigint as events,
    sum(u.unreadable)::bigint as unreadable_events
from billing_export.usage_between(:from, :to) as u
left join billing_export.aliases() as a on a.alias = u.alias
where :customer is null or :customer in (a.customer, u.alias) or a.customer_id::text = lower(:customer)
group by u.day, a.customer_id, coalesce(a.customer, u.alias), u.metric, u.qualifier
order by u.day, coalesce(a.customer, u.alias) collate "C", u.metric collate "C", u.qualifier collate "C", a.customer_id
