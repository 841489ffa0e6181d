with recursive above (oid) as (
    select r.ev_class
      from unnest($1::text[]) as wanted (name)
      join pg_depend as d on d.refobjid = to_regclass(wanted.name)
      join pg_rewrite as r on r.oid = d.objid and r.ev_class <> d.refobjid
     where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
     union
    select r.ev_class
      from above
      join pg_depend as d on d.refobjid = above.oid
      join pg_rewrite as r on r.oid = d.objid and r.ev_class <> d.refobjid
     where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
)
select format('%I.%I', n.nspname, c.relname) as name,
       coalesce(obj_description(c.oid, 'pg_class') like 'made by bursar from %', false) as is_ours
  from above
  join pg_class as c on c.oid = above.oid
  join pg_namespace as n on n.oid = c.relnamespace
 order by 2 desc, 1
