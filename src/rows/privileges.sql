-- What the role lacks on existing tables: schemas $1, names $2, privileges $3, separated by commas. place counts from 0.
select wanted.place - 1 as place,
       array(
           select privilege
             from unnest(string_to_array(wanted.needed, ',')) as privilege
            where not has_table_privilege(c.oid, privilege)) as lacking,
       row_security_active(c.oid) as is_row_secured
  from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (schema_name, name, needed, place)
  join pg_namespace as n on n.nspname = wanted.schema_name
  join pg_class as c on c.relnamespace = n.oid and c.relname = wanted.name and c.relkind = 'r'
 order by place
