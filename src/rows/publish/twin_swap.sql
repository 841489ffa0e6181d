-- Statements that put the table $2 in the place of $1 (schema $3, name $4), whose segments go with it.
with old as (
    select c.oid from pg_class as c where c.oid = $1::regclass),
segments as (
    select s.oid
      from old
      join pg_inherits as i on i.inhparent = old.oid
      join pg_class as s on s.oid = i.inhrelid
     where s.relnamespace = 'bursar_staged'::regnamespace)
select statement
  from (
        select 1 as place, i.inhseqno as number, format('alter table %s inherit %s', $2, i.inhparent::regclass) as statement
          from old
          join pg_inherits as i on i.inhrelid = old.oid
         union all
        select 2, 0, format('drop table %s', string_agg(dropped.name, ', '))
          from (select oid::regclass::text as name from segments union all select $1) as dropped
         union all
        select 3, 0, format('alter table %s set schema %I', $2, $3)
         union all
        select 4, 0, format('alter table %I.%I rename to %I', $3, split_part($2, '.', 2), $4)
         union all
        select 5, i.indexrelid::bigint, format('alter index %I.%I rename to %I', $3, split_part($2, '.', 2) || '_' || i.indexrelid, x.relname)
          from old
          join pg_index as i on i.indrelid = old.oid
          join pg_class as x on x.oid = i.indexrelid
         union all
        select 6, row_number() over (order by b.pubname),
               format('alter publication %I add table %I.%I', b.pubname, $3, $4)
          from old
          join pg_publication_rel as p on p.prrelid = old.oid
          join pg_publication as b on b.oid = p.prpubid) as statements
 order by place, number
