run "it_deploys_everything" {
  command = plan

  variables {
    project      = "acme-millrace-production"
    api_base_url = "https://members.production.acme.example"
    snapshot_uri = "s3://acme-member-snapshots-production"
    images = {
      ingest    = "europe-west1-docker.pkg.dev/acme-millrace-production/millrace/ingest@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      pipeline  = "europe-west1-docker.pkg.dev/acme-millrace-production/millrace/pipeline@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      reconcile = "europe-west1-docker.pkg.dev/acme-millrace-production/millrace/reconcile@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    }
  }

  assert {
    condition     = length(output.millrace.raw_tables) == 13 && length(output.millrace.topics) == 14
    error_message = "Every contract must have its raw table and its topic."
  }

  assert {
    condition     = output.millrace.deployables == ["millrace-ingest", "millrace-pipeline", "millrace-reconcile", "millrace-sweep", "millrace-sources", "millrace-erasures"]
    error_message = "Ingester, pipeline, sweep, sources, reconciliation and erasures must run."
  }
}
