-- Deliveries with the outcome of their files: $1 and $2 run dates, $3 dataset, $4 customer, $5 state, $6 outcome.
select *
  from (select d.*,
               case when d.refused_id is not null then 'refused'
                    when task.has_failed then 'failed'
                    else load.state end as outcome,
               case when d.refused_id is null and task.has_failed then task.error end as failure
          from bursar.deliveries as d
          left join bursar.loads as load on load.id = d.load_id
          left join lateral (
               -- The newest run that has a load of the file; what a gate held or the deadline missed has an outcome.
               select t.state = 'failed' and t.outcome ->> 'state' is null as has_failed,
                      t.error
                 from bursar.runs as r
                 join bursar.task_runs as t on t.run_id = r.id and t.item in (d.customer, '')
                 join jsonb_array_elements(r.plan) as p on p ->> 'name' = t.task
                where r.job = d.job and r.run_date = d.run_date
                  and p ->> 'kind' = 'load' and p ->> 'subject' = d.dataset
                order by r.opened_at desc
                limit 1) as task on true
         where ($1::date is null or d.run_date >= $1)
           and ($2::date is null or d.run_date <= $2)
           and ($3::text is null or d.dataset = $3)
           and ($4::text is null or d.customer = $4)
           and ($5::text is null or d.state = $5)) as listed
 where $6::text is null or outcome = $6
 order by run_date, dataset, customer
