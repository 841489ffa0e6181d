select wanted.place - 1 as place,
       obj_description(r.oid, 'pg_class') as comment,
       described.shape
  from unnest($1::text[], $2::text[]) with ordinality as wanted (schema_name, name, place)
  join pg_namespace as n on n.nspname = wanted.schema_name
  join pg_class as r on r.relnamespace = n.oid and r.relname = wanted.name
 cross join lateral (
