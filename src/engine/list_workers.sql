-- The workers that are up, and the newest $1 of the others.
with known as materialized (
    select w.*,
           w.stopped_at is null and bursar.is_up(w.id) as is_alive
      from bursar.workers as w
),
listed as (
    select *
      from known
     where is_alive
    union all
    (select *
       from known
      where not is_alive
      order by started_at desc
      limit $1)
)
select id,
       role,
       host,
       pid,
       is_alive,
       (select count(*) from bursar.task_runs as t where t.state = 'running' and t.worker = listed.id) as busy,
       started_at,
       stopped_at,
       config_hash,
       kept_hashes,
       credentials,
       config_loaded_at,
       clock_skew_s,
       config_error,
       reload_requested_at
  from listed
 order by is_alive desc, started_at desc, id
