-- Compressed and decoded files: what a reject's place means. Lines that are skipped: what they are.

comment on column bursar.loads.records is 'Records of the file: loaded + rejected + skipped (header, blank lines, preamble, comments, trailers).';
comment on column bursar.loads.certificate is 'The whole account: bytes, unpacked_bytes of a compressed file, bytes covered, counts by kind, the server''s own counts.';
comment on column bursar.file_invalid_rows.byte_offset is 'Where its first byte stands in the file, from 0; in the unpacked file where it was compressed, in its own encoding where that is not UTF-8.';
comment on column bursar.file_invalid_rows.byte_length is 'Its length in bytes, line end included; measured as byte_offset is.';
comment on column bursar.file_invalid_rows.raw is 'Its bytes in the file''s own encoding; only the first dialect.max_record_bytes (of UTF-8) of a record that is longer.';
