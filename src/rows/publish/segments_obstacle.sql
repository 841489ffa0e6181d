select obstacle
  from (
        select 1 as rank, 'the role ' || current_user || ' doesn''t own it' as obstacle
          from pg_class as c
         where c.oid = $1::regclass and not pg_has_role(c.relowner, 'usage')
         union all
        select 2, 'it is not an ordinary table'
          from pg_class as c
         where c.oid = $1::regclass and (c.relkind <> 'r' or c.relispartition or c.reloftype <> 0)
         union all
        select 3, 'the role ' || current_user || ' may not make foreign keys to ' || k.confrelid::regclass
          from pg_constraint as k
         where k.conrelid = $1::regclass and k.contype = 'f' and not has_table_privilege(k.confrelid, 'references')
         union all
        select 3, 'the role ' || current_user || ' may not create anything in the tablespace ' || s.spcname
          from pg_class as c
          left join pg_index as i on i.indrelid = c.oid
          left join pg_class as x on x.oid = i.indexrelid
          join pg_tablespace as s on s.oid in (c.reltablespace, x.reltablespace)
         where c.oid = $1::regclass and not has_tablespace_privilege(s.oid, 'create')
         union all
        select 4, 'its trigger ' || t.tgname || ' would not see the rows of segments'
          from pg_trigger as t
         where t.tgrelid = $1::regclass and not t.tgisinternal
         union all
        select 5, 'its index ' || i.indexrelid::regclass || ' is unique, which can''t be held across segments'
          from pg_index as i
         where i.indrelid = $1::regclass and (i.indisunique or i.indisexclusion)
         union all
        select 6, 'the foreign key ' || k.conname || ' of ' || k.conrelid::regclass || ' does not see segments'
          from pg_constraint as k
         where k.contype = 'f' and k.confrelid = $1::regclass
       ) as obstacles
 order by rank, obstacle
 limit 1
