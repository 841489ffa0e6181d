-- The billing export: what usage events count for, their sums by day, and what its tables point to that is not there.
-- The nine tables themselves are made from configuration (config/datasets/billing_*.toml).

create schema billing_export;
comment on schema billing_export is 'What is made of the billing export''s tables (billing_*). Written by tasks of the kind billing_export_check.';

create table billing_export.meters (
    metric text not null,
    event_type text not null,
    quantity_key text not null,
    qualifier_key text,
    constraint meters_pkey primary key (metric, event_type)
);
comment on table billing_export.meters is 'Which events billable metrics count: the export tells the key that is summed up (aggregate_keys), not what selects the events. A metric''s name is metric (qualifier), such as Images (256x256).';
comment on column billing_export.meters.metric is 'What the names of these billable metrics begin with.';
comment on column billing_export.meters.event_type is 'The type of the events.';
comment on column billing_export.meters.quantity_key is 'The property that is summed up.';
comment on column billing_export.meters.qualifier_key is 'The property that stands in parentheses in the metric''s name; null where there is none.';

insert into billing_export.meters (metric, event_type, quantity_key, qualifier_key)
values
    ('CPU hours', 'usage_events', 'cpu_hours', 'instanceType'),
    ('Storage GB-Hours', 'usage_events', 'storage_gb-hours', 'region'),
    ('Images', 'image_modeler', 'num_images', 'image_size'),
    ('Language Model', 'language_modeler', 'words', 'model'),
    ('Fine Tuning', 'fine_tuning', 'words', 'model');

create table billing_export.checks (
    run_date date not null constraint checks_pkey primary key,
    run_id uuid not null,
    events_load bigint not null,
    meters_hash text not null,
    checked_at timestamptz not null
);
comment on table billing_export.checks is 'The run dates whose tables were looked through.';
comment on column billing_export.checks.run_date is 'The business day of the loads.';
comment on column billing_export.checks.run_id is 'The run (bursar.runs) that looked last.';
comment on column billing_export.checks.events_load is 'The load (bursar.loads) of the events that were looked through.';
comment on column billing_export.checks.meters_hash is 'A hash of the meters by which they were summed up.';
comment on column billing_export.checks.checked_at is 'When.';

create table billing_export.orphans (
    run_date date not null constraint orphans_check_fkey references billing_export.checks on delete cascade,
    table_name text not null,
    column_name text not null,
    refers_to text not null,
    value text not null,
    row_count bigint not null,
    constraint orphans_pkey primary key (run_date, table_name, column_name, refers_to, value)
);
comment on table billing_export.orphans is 'Values that point to no row, or to more than one, by run date. The rows stay where they are.';
comment on column billing_export.orphans.run_date is 'The business day of the loads.';
comment on column billing_export.orphans.table_name is 'The table whose rows hold the value.';
comment on column billing_export.orphans.column_name is 'The column.';
comment on column billing_export.orphans.refers_to is 'What it should point to, once: table.column.';
comment on column billing_export.orphans.value is 'The value.';
comment on column billing_export.orphans.row_count is 'How many rows hold it.';

create table billing_export.usage (
    day date,
    alias text,
    metric text not null,
    qualifier text,
    quantity numeric,
    events bigint not null,
    unreadable bigint not null
);
create index usage_by_day_idx on billing_export.usage (day);
comment on table billing_export.usage is 'Usage events summed up, so that questions need not read them all. Read it through billing_export.usage_between, which knows whether it is up to date.';
comment on column billing_export.usage.day is 'The day (UTC) of the events.';
comment on column billing_export.usage.alias is 'Whose: an ingest alias.';
comment on column billing_export.usage.metric is 'What for: billing_export.meters.metric.';
comment on column billing_export.usage.qualifier is 'What stands in parentheses in the metric''s name.';
comment on column billing_export.usage.quantity is 'The sum of the quantities.';
comment on column billing_export.usage.events is 'How many events there were.';
comment on column billing_export.usage.unreadable is 'How many of them have no number as their quantity, which is none.';

create table billing_export.summed (
    is_only boolean not null default true constraint summed_pkey primary key constraint summed_only_check check (is_only),
    events_load bigint not null,
    meters_hash text not null
);
comment on table billing_export.summed is 'What billing_export.usage was made from; one row, or none.';
comment on column billing_export.summed.is_only is 'True, so that there is one row.';
comment on column billing_export.summed.events_load is 'The load (bursar.loads) of the events.';
comment on column billing_export.summed.meters_hash is 'A hash of the meters.';

create function billing_export.plain(name text) returns text
    language sql immutable parallel safe
    return replace(name, '×', 'x');
comment on function billing_export.plain(text) is 'A name as it is compared: sizes are written with × and with x.';

create function billing_export.number(value text) returns numeric
    language sql immutable parallel safe
    return case when value ~ '^[+-]?[0-9]{1,30}([.][0-9]{1,30})?([eE][+-]?[0-9]{1,2})?$' then value::numeric end;
comment on function billing_export.number(text) is 'A quantity as an event tells it; null where it is no number.';

create function billing_export.events_load() returns bigint
    language sql stable parallel safe
    return (
        select id from bursar.loads
        where dataset = 'billing_events' and state = 'published'
        order by publication desc
        limit 1
    );
comment on function billing_export.events_load() is 'The load whose events readers see; null where there is none.';

create function billing_export.meters_hash() returns text
    language sql stable parallel safe
    return (
        select md5(coalesce(string_agg(m::text, e'\n' order by metric, event_type), '')) from billing_export.meters as m
    );
comment on function billing_export.meters_hash() is 'Changes when the meters do.';

-- The tables that are made from configuration are not there yet: plpgsql looks for them when it is called.
create function billing_export.metered(first_day date, last_day date) returns setof billing_export.usage
    language plpgsql stable parallel restricted
as $$
begin
    return query
        with metered as (
            select
                e."timestamp"::date as day,
                e.customer_id as alias,
                m.metric,
                billing_export.plain(e.properties ->> m.qualifier_key) as qualifier,
                billing_export.number(e.properties ->> m.quantity_key) as quantity
            from billing_events as e
            join billing_export.meters as m on m.event_type = e.event_type
            where (first_day is null or e."timestamp" >= first_day)
              and (last_day is null or e."timestamp" < last_day + interval '1 day')
        )
        select
            metered.day,
            metered.alias,
            metered.metric,
            metered.qualifier,
            sum(metered.quantity),
            count(*),
            count(*) filter (where metered.quantity is null)
        from metered
        group by 1, 2, 3, 4;
end
$$;
comment on function billing_export.metered(date, date) is 'Usage from a day to a day, both inclusive (UTC), summed up from the events; a day that is null is no bound.';

create function billing_export.usage_between(first_day date, last_day date) returns setof billing_export.usage
    language plpgsql stable parallel restricted
as $$
begin
    if exists (
        select from billing_export.summed
        where events_load = billing_export.events_load() and meters_hash = billing_export.meters_hash()
    ) then
        return query
            select * from billing_export.usage as u
            where (first_day is null or u.day >= first_day) and (last_day is null or u.day <= last_day);
    else
        return query select * from billing_export.metered(first_day, last_day);
    end if;
end
$$;
comment on function billing_export.usage_between(date, date) is 'Usage from a day to a day, both inclusive (UTC): from billing_export.usage where that is up to date, else from the events.';

create function billing_export.aliases() returns table (alias text, customer_id uuid, customer text)
    language plpgsql stable parallel restricted
as $$
begin
    return query
        with named as (
            select jsonb_array_elements_text(c.ingest_aliases) as alias, c.id, c.name, c.archived_at, c.created_at
            from billing_customer as c
            where jsonb_typeof(c.ingest_aliases) = 'array'
            union all
            select c.id::text, c.id, c.name, c.archived_at, c.created_at from billing_customer as c
        )
        select distinct on (named.alias) named.alias, named.id, named.name
        from named
        order by named.alias, named.archived_at desc nulls first, named.created_at desc nulls last, named.id;
end
$$;
comment on function billing_export.aliases() is 'The customer that events mean by a name: one of its ingest aliases, or its id. Of several the one that is not archived, then the newest; billing_export.orphans tells them.';
