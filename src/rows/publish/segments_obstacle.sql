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
        select 3, 'its index ' || i.indexrelid::regclass || ' is unique, which can''t be held across segments'
          from pg_index as i
         where i.indrelid = $1::regclass and (i.indisunique or i.indisexclusion)
         union all
        select 4, 'the foreign key ' || k.conname || ' of ' || k.conrelid::regclass || ' does not see segments'
          from pg_constraint as k
         where k.contype = 'f' and k.confrelid = $1::regclass
       ) as obstacles
 order by rank, obstacle
 limit 1
