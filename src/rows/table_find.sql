select wanted.place - 1 as place,
       c.relkind::text as kind,
       obj_description(c.oid, 'pg_class') as comment,
       coalesce(array_agg(a.attname::text order by a.attnum) filter (where a.attnum is not null), '{}') as columns,
       coalesce(array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum) filter (where a.attnum is not null), '{}') as types
  from unnest($1::text[], $2::text[]) with ordinality as wanted (schema_name, name, place)
  join pg_namespace as n on n.nspname = wanted.schema_name
  join pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name
  left join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 group by wanted.place, c.oid, c.relkind
