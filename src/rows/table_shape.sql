-- What the relation `c` of pg_class is made of, as JSON; a condition on `c` follows.
select jsonb_build_object(
           'kind', c.relkind::text,
           'columns', coalesce((
               select jsonb_agg(
                          jsonb_build_object(
                              'name', a.attname,
                              'kind', format_type(a.atttypid, a.atttypmod),
                              'is_required', a.attnotnull,
                              'has_default', a.atthasdef,
                              'filled_by', case when a.attgenerated::text <> '' then 'expression'
                                                when a.attidentity::text = 'a' then 'identity'
                                                else 'insert'
                                           end)
                          order by a.attnum)
                 from pg_attribute as a
                where a.attrelid = c.oid
                  and a.attnum > 0
                  and not a.attisdropped), '[]'),
           -- Unique indexes of plain columns over all rows.
           'keys', coalesce((
               select jsonb_agg(
                          jsonb_build_object(
                              'name', x.relname,
                              'constraint', k.conname,
                              'columns', array(
                                  select a.attname::text
                                    from generate_series(0, i.indnkeyatts - 1) as place
                                    join pg_attribute as a on a.attrelid = c.oid and a.attnum = i.indkey[place]
                                   order by place),
                              'is_primary', i.indisprimary,
                              'is_valid', i.indisvalid,
                              'is_immediate', i.indimmediate)
                          order by not i.indisprimary, x.relname)
                 from pg_index as i
                 join pg_class as x on x.oid = i.indexrelid
                 left join pg_constraint as k on k.conindid = i.indexrelid and k.conrelid = c.oid and k.contype in ('p', 'u')
                where i.indrelid = c.oid
                  and i.indisunique
                  and i.indpred is null
                  and i.indexprs is null), '[]'),
           -- Checks that only say that a column is not null.
           'required_by_check', coalesce((
               select jsonb_agg(jsonb_build_object('name', k.conname, 'column', a.attname) order by k.conname)
                 from pg_constraint as k
                 join pg_attribute as a on a.attrelid = c.oid and k.conkey = array[a.attnum]
                where k.conrelid = c.oid
                  and k.contype = 'c'
                  and replace(pg_get_expr(k.conbin, k.conrelid), '"', '') = format('(%s IS NOT NULL)', a.attname)), '[]')) as shape
  from pg_class as c
