select staged.load_id, staged.name
  from (select substring(c.relname from '^load_([0-9]+)(?:_[0-9]+)?$')::bigint as load_id, c.relname::text as name, c.oid
          from pg_class as c
         where c.relnamespace = 'bursar_staged'::regnamespace and c.relkind = 'r'
           and c.relname ~ '^load_[0-9]+(_[0-9]+)?$') as staged
 where not exists (select from pg_inherits as i where i.inhrelid = staged.oid)
   and not exists (
       select from bursar.loads as l
        where l.id = staged.load_id and l.state = 'held'
          and not exists (
              select from bursar.loads as b
               where b.dataset = l.dataset and b.customer = l.customer and b.run_date = l.run_date and b.id > l.id and b.redrive_of is null))
 order by staged.load_id, staged.name
