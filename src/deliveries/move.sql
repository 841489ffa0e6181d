with wanted as (
    select *
      from unnest(
             $1::text[],
             $2::text[],
             $3::date[],
             $4::text[],
             $5::bigint[],
             $6::timestamptz[],
             $7::text[],
             $8::text[],
             $9::bigint[],
             $10::timestamptz[],
             $11::timestamptz[],
             $12::text[]
           ) as w (dataset, customer, run_date, old_state, old_bytes, old_modified_at,
                   state, path, bytes, modified_at, arrived_at, note)
), picked as (
    select d.dataset, d.customer, d.run_date
      from bursar.deliveries as d
      join wanted as w using (dataset, customer, run_date)
     where d.state = w.old_state
       and d.file_bytes is not distinct from w.old_bytes
       and d.file_modified_at is not distinct from w.old_modified_at
     order by 1, 2, 3
       for update of d skip locked
)
update bursar.deliveries as d
   set state = w.state,
       file_path = w.path,
       file_bytes = w.bytes,
       file_modified_at = w.modified_at,
       arrived_at = w.arrived_at,
       note = w.note,
       updated_at = $13
  from picked
  join wanted as w using (dataset, customer, run_date)
 where d.dataset = w.dataset
   and d.customer = w.customer
   and d.run_date = w.run_date
returning d.*
