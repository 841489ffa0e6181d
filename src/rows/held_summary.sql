select jsonb_build_object(
           'load_id', id,
           'dataset', dataset,
           'customer', customer,
           'table', table_name,
           'state', state,
           'reasons', reasons,
           'publication', jsonb_build_object('way', way, 'inserted', inserted, 'updated', updated, 'unchanged', unchanged),
           'warnings', warnings,
           'control', control,
           'file', file_path,
           'file_modified_at', file_modified_at,
           'certificate', certificate,
           'measures', measures,
           'decision', decision,
           'decided_by', decided_by,
           'decision_reason', decision_reason)
  from bursar.loads
 where id = $1
