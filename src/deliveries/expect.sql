insert into bursar.deliveries (
    dataset,
    customer,
    run_date,
    job,
    state,
    deadline,
    window_end,
    changes_until,
    note,
    updated_at,
    file_bytes,
    file_modified_at,
    file_sha256,
    arrived_at,
    load_id,
    run_id
)
select e.dataset,
       e.customer,
       e.run_date,
       e.job,
       case when l.id is null then e.state when l.loaded_at > e.deadline then 'late' else 'arrived' end,
       e.deadline,
       e.window_end,
       e.changes_until,
       case when l.id is null then e.note else 'loaded before it was looked for' end,
       $10,
       l.file_bytes,
       l.file_modified_at,
       l.file_sha256,
       l.loaded_at,
       l.id,
       l.run_id
  from unnest(
         $1::text[],
         $2::text[],
         $3::date[],
         $4::text[],
         $5::text[],
         $6::timestamptz[],
         $7::timestamptz[],
         $8::timestamptz[],
         $9::text[]
       ) as e (dataset, customer, run_date, job, state, deadline, window_end, changes_until, note)
  left join lateral (
         select *
           from bursar.loads as l
          where l.dataset = e.dataset
            and l.customer = e.customer
            and l.run_date = e.run_date
          order by l.id desc
          limit 1
       ) as l on true
    on conflict (dataset, customer, run_date) do nothing
