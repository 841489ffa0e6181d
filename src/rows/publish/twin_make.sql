-- Statements that make the table $2 like $1, without its rows, indexes and grants.
with old as (
    select c.*,
           (select s.spcname from pg_tablespace as s where s.oid = c.reltablespace) as tablespace,
           (select string_agg(split_part(o, '=', 1) || ' = ' || quote_literal(substr(o, position('=' in o) + 1)), ', ')
              from unnest(c.reloptions || (select array_agg('toast.' || x) from pg_class as t, unnest(t.reloptions) as x
                                            where t.oid = c.reltoastrelid)) as o) as options
      from pg_class as c
     where c.oid = $1::regclass)
select statement
  from (
        select 1 as place, 0 as attnum,
               format('set local default_tablespace = %L; create %stable %s (like %s including defaults including constraints including generated '
                      'including storage including compression including comments)%s',
                      coalesce(tablespace, ''), case when relpersistence = 'u' then 'unlogged ' end, $2, $1,
                      ' with (' || options || ')') as statement
          from old
         union all
        select 2, a.attnum, format('alter table %s alter column %I set statistics %s', $2, a.attname, a.attstattarget)
          from old
          join pg_attribute as a on a.attrelid = old.oid
         where a.attnum > 0 and not a.attisdropped and a.attstattarget >= 0
         union all
        select 3, a.attnum, format('alter table %s alter column %I set (%s)', $2, a.attname, array_to_string(a.attoptions, ', '))
          from old
          join pg_attribute as a on a.attrelid = old.oid
         where a.attnum > 0 and not a.attisdropped and a.attoptions is not null) as statements
 order by place, attnum
