select obstacle
  from (
        -- The role must be able to do it.
        select 1 as rank, 'the role ' || current_user || ' doesn''t own it' as obstacle
          from pg_class as c
         where c.oid = $1::regclass and not pg_has_role(c.relowner, 'usage')
         union all
        select 2, 'the role ' || current_user || ' may not create tables in the schema ' || n.nspname
          from pg_class as c
          join pg_namespace as n on n.oid = c.relnamespace
         where c.oid = $1::regclass and not has_schema_privilege(n.oid, 'create')
         union all
        select 3, 'the role ' || current_user || ' may not create anything in the tablespace ' || s.spcname
          from pg_class as c
          left join pg_index as i on i.indrelid = c.oid
          left join pg_class as x on x.oid = i.indexrelid
          join pg_tablespace as s on s.oid in (c.reltablespace, x.reltablespace)
         where c.oid = $1::regclass and not has_tablespace_privilege(s.oid, 'create')
         union all
        select 3, 'the role ' || current_user || ' may not make foreign keys to ' || k.confrelid::regclass
          from pg_constraint as k
         where k.conrelid = $1::regclass and k.contype = 'f' and not has_table_privilege(k.confrelid, 'references')
         union all
        -- What a new table would not be.
        select 4, kind.what
          from pg_class as c
         cross join lateral (values
               (c.relkind <> 'r', 'it is not an ordinary table'),
               (c.relispartition, 'it is a partition'),
               (c.reloftype <> 0, 'it is a typed table'),
               (c.relrowsecurity or c.relforcerowsecurity, 'row security is on'),
               (exists (select from pg_seclabel as s where s.objoid = c.oid), 'it has a security label')
               ) as kind (holds, what)
         where c.oid = $1::regclass and kind.holds
         union all
        -- What hangs on it, but for what its twin gets as well.
        select 5, pg_describe_object(d.classid, d.objid, d.objsubid) || ' depends on it'
          from pg_class as c
          join pg_depend as d
            on (d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid)
            or (d.refclassid = 'pg_type'::regclass and d.refobjid in (c.reltype, (select t.typarray from pg_type as t where t.oid = c.reltype)))
          left join pg_class as r on d.classid = 'pg_class'::regclass and r.oid = d.objid
          left join pg_constraint as k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
          left join pg_trigger as t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid
          left join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
          left join pg_publication_rel as p on d.classid = 'pg_publication_rel'::regclass and p.oid = d.objid
         where c.oid = $1::regclass
           and not (d.classid = 'pg_attrdef'::regclass)
           and not (d.classid = 'pg_type'::regclass and d.deptype = 'i')
           and not (r.relkind is not null and r.relkind in ('i', 't'))
           and not (r.relkind is not null and r.relkind = 'r' and r.relnamespace = 'bursar_staged'::regnamespace)
           and not (k.oid is not null and k.conrelid = c.oid and (k.contype <> 'f' or k.confrelid <> c.oid))
           and not (t.oid is not null and t.tgisinternal)
           and not (w.oid is not null and w.ev_class = to_regclass($2))
           and not (p.oid is not null and p.prqual is null and p.prattrs is null
                    and (select pg_has_role(b.pubowner, 'usage') from pg_publication as b where b.oid = p.prpubid))
       ) as obstacles
 group by obstacle
 order by min(rank), obstacle
