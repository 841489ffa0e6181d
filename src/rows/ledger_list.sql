-- Loads and refused files, the newest first: $1 dataset, $2 customer, $3 and $4 run dates, $5 state, $6 how many, $7 job.
select entry.*,
       after.id as overtaken_by
  from (select id, run_id, dataset, customer, run_date, table_name, state, is_current, way, file_name, file_bytes,
               file_sha256, loaded, rejected, reasons, loaded_at
          from bursar.loads
         union all
        select id, run_id, dataset, customer, run_date, null, 'refused', false, null, file_name, file_bytes,
               file_sha256, 0, 0, jsonb_build_array(error), refused_at
          from bursar.refused_files) as entry
  left join lateral (
       select max(a.id)
         from bursar.loads as a
        where entry.state = 'held' and a.dataset = entry.dataset and a.customer = entry.customer
          and a.run_date = entry.run_date and a.id > entry.id and a.redrive_of is null) as after (id) on true
 where ($1::text is null or entry.dataset = $1)
   and ($2::text is null or entry.customer = $2)
   and ($3::date is null or entry.run_date >= $3)
   and ($4::date is null or entry.run_date <= $4)
   and ($5::text is null or case when after.id is null then entry.state else 'overtaken' end = $5)
   and ($7::text is null or exists (select from bursar.runs as r where r.id = entry.run_id and r.job = $7))
 order by entry.id desc
 limit $6
