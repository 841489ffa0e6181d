with shape as (
    select c.oid,
           row (c.relpersistence, c.reltablespace, array(select unnest(c.reloptions) order by 1))::text as storage,
           array(select row (a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attgenerated,
                             a.attstorage, a.attstattarget, a.attoptions,
                             pg_get_expr(d.adbin, d.adrelid))::text
                   from pg_attribute as a
                   left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                  order by a.attnum) as columns,
           -- What the table holds new rows to only (NOT VALID) the twin holds all of its rows to.
           array(select k.conname || ' ' || regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')
                   from pg_constraint as k
                  where k.conrelid = c.oid and k.contype = 'c'
                  order by 1) as checks
      from pg_class as c
     where c.oid in ($1::regclass, $2::regclass))
select count(distinct (storage, columns, checks)) = 1 from shape
