insert into bursar.loads
select (jsonb_populate_record(l, jsonb_build_object(
           'id', $1::bigint,
           'publication', $1::bigint,
           'redrive_of', $2::bigint,
           'is_current', true,
           'loaded', l.loaded + $4::bigint,
           'rejected', l.rejected - $4::bigint,
           'certificate', l.certificate || jsonb_build_object(
               'loaded', (l.certificate ->> 'loaded')::bigint + $4,
               'rejected', (l.certificate ->> 'rejected')::bigint - $4,
               'copied_rows', (l.certificate ->> 'copied_rows')::bigint + $4,
               'copied_rejects', (l.certificate ->> 'copied_rejects')::bigint - $4,
               'redrive', jsonb_build_object('of', $2::bigint, 'after', l.id, 'rows', $4, 'file', $5::text, 'by', $6::text)),
           'measures', coalesce($7::jsonb, l.measures),
           'way', case when $9::bigint is null then 'append' else 'merge' end,
           'inserted', $9::bigint,
           'updated', $10::bigint,
           'unchanged', $11::bigint,
           'way_reason', null,
           'streams', 1,
           'lock_waited_ms', null,
           'lock_held_ms', null,
           'decision', null,
           'decision_reason', null,
           'decided_by', null,
           'decided_at', null,
           'program_version', $8::text,
           'loaded_at', now()))).*
  from bursar.loads as l
 where l.id = $3
