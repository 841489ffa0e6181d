update bursar.loads
   set state = case when $2 = 'accepted' then 'published' else 'discarded' end,
       is_current = $2 = 'accepted',
       publication = case when $2 = 'accepted' then nextval('bursar.loads_id_seq') end,
       way = case when $2 = 'accepted' then $5 else way end,
       way_reason = case when $2 = 'accepted' then $11 else way_reason end,
       lock_waited_ms = $6,
       lock_held_ms = $7,
       inserted = $8,
       updated = $9,
       unchanged = $10,
       archive_state = case when $2 = 'accepted' and archive is not null then 'pending' end,
       decision = $2,
       decision_reason = $3,
       decided_by = $4,
       decided_at = now()
 where id = $1
