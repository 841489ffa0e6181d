-- What a load must know before its first row. $1 to $4: the attempt's run, task, item and number; $5 dataset, $6 customer,
-- $7 run date; $8 the table as the ledger calls it, $9 as it stands in SQL.
select exists (
           select
             from bursar.task_runs
            where run_id = $1
              and task = $2
              and item = $3
              and attempt = $4
              and state = 'running') as is_present,
       (select run_date
          from bursar.loads
         where dataset = $5
           and customer = $6
           and table_name = $8
           and state = 'published'
         order by publication desc
         limit 1) as published,
       (select loaded
          from bursar.loads
         where dataset = $5
           and customer = $6
           and run_date < $7
           and is_current
         order by run_date desc
         limit 1) as rows_before,
       exists (
           select
             from bursar.loads
            where dataset = $5
              and customer = $6
              and run_date = $7) as is_repeated,
       array(
           select c.relname::text
             from pg_inherits as i
             join pg_class as c on c.oid = i.inhrelid
            where i.inhparent = to_regclass($9)
              and c.relnamespace = 'bursar_staged'::regnamespace
            order by 1) as segments,
       array(
           select array_to_json(array(
                      select a.attname::text
                        from unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
                        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
                       order by k.place))
             from pg_index as i
             join pg_class as c on c.oid = i.indexrelid
             join pg_am as m on m.oid = c.relam
            where i.indrelid = to_regclass($9)
              and m.amname = 'btree'
              and i.indpred is null) as indexes,
       (
