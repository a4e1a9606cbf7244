locals {
  deployed = var.images != null

  env = {
    # To the programs, dev is a developer's machine: they make what is missing, and dbt builds into datasets of one
    # person. What is deployed finds everything made, and builds into the zones themselves.
    MILLRACE_ENVIRONMENT = var.environment == "dev" ? "staging" : var.environment
    MILLRACE_PROJECT     = var.project
    MILLRACE_LOCATION    = var.location
    MILLRACE_LOG_FORMAT  = "json"
  }

  # What all of them have in common.
  runtime = {
    project             = var.project
    region              = var.region
    deletion_protection = var.deletion_protection
    labels              = local.labels
  }

  # The same whether messages are pulled or pushed.
  ingest_env = merge(local.env, {
    MILLRACE_API_BASE_URL        = var.api_base_url
    MILLRACE_DEAD_LETTER_TOPIC   = module.stream.dead_letter_topic
    MILLRACE_INGEST_OVERSIZE_URI = module.oversize.uri
  })

  ingest_runtime = merge(local.runtime, {
    image                 = try(var.images.ingest, "")
    service_account_email = module.ingest_identity.email
    limits                = var.ingest_limits
    env                   = local.ingest_env
    secret_env            = local.ingest_secrets
  })

  pipeline_runtime = merge(local.runtime, {
    image                 = try(var.images.pipeline, "")
    service_account_email = module.pipeline_identity.email
    env                   = merge(local.env, var.lineage_env)
  })
}

module "ingester" {
  source = "../ingester"
  count  = local.deployed && !local.is_pushed ? 1 : 0

  instances = var.ingest_instances
  runtime   = local.ingest_runtime
}

module "push" {
  source = "../push"
  count  = local.is_pushed ? 1 : 0

  project        = var.project
  project_number = data.google_project.this.number
  name           = local.ingest_name
  audience       = local.ingest_name
  instances      = { minimum = var.ingest_instances, maximum = max(10, var.ingest_instances) }
  runtime        = local.ingest_runtime
}

module "pipeline" {
  source = "../job"
  count  = local.deployed ? 1 : 0

  name                            = "millrace-pipeline"
  description                     = "Builds every zone with dbt, in order."
  args                            = ["run", "--once", "--json"]
  scheduler_service_account_email = module.scheduler_identity.email
  schedule                        = var.pipeline_schedule
  paused                          = var.schedules_paused
  timeout_seconds                 = 3600
  runtime                         = local.pipeline_runtime
}

# A raw row that became visible later than the overlap that every run reads again is picked up here.
module "sweep" {
  source = "../job"
  count  = local.deployed ? 1 : 0

  name                            = "millrace-sweep"
  description                     = "Reads two days of raw again, for rows that came too late for the pipeline's overlap."
  args                            = ["run", "--once", "--json", "--zone", "structure", "--vars", "{cdc_overlap_minutes: 2880}"]
  scheduler_service_account_email = module.scheduler_identity.email
  schedule                        = var.sweep_schedule
  paused                          = var.schedules_paused
  timeout_seconds                 = 3600
  runtime                         = local.pipeline_runtime
}

# Of no zone that is built: it reads a week of raw.
module "sources" {
  source = "../job"
  count  = local.deployed ? 1 : 0

  name                            = "millrace-sources"
  description                     = "Asks the rules of what was landed, and how fresh each source is; fails when one is broken."
  args                            = ["run", "--once", "--json", "--zone", "raw"]
  scheduler_service_account_email = module.scheduler_identity.email
  schedule                        = var.sources_schedule
  paused                          = var.schedules_paused
  timeout_seconds                 = 3600
  runtime                         = local.pipeline_runtime
}

# Tasks divide the tables, and the ranges of large ones, among themselves; the one that ends last merges what all have
# found. A task that fails is tried again and does only the rest: also the merge, which exits 1 when tables differ.
module "reconcile" {
  source = "../job"
  count  = local.deployed ? 1 : 0

  name                            = "millrace-reconcile"
  description                     = "Holds the warehouse against the source's own snapshots, row by row."
  scheduler_service_account_email = module.scheduler_identity.email
  schedule                        = var.reconcile_schedule
  paused                          = var.schedules_paused
  timeout_seconds                 = 14400
  tasks                           = var.reconcile_tasks
  max_retries                     = 2

  # The image's own folder is read-only. Its scratch space is memory, and goes with the task.
  args = [
    "run", "--all", "--json",
    "--shards", module.reconciliation.runs_uri,
    "--state", "/var/tmp/millrace/reconcile-state",
    "--output", "/var/tmp/millrace/reconcile",
  ]

  runtime = merge(local.runtime, {
    image                 = var.images.reconcile
    service_account_email = module.reconcile_identity.email
    limits                = { cpu = "2", memory = "4Gi" }
    secret_env            = local.reconcile_secrets

    env = merge(
      local.env,
      { MILLRACE_SNAPSHOT_URI = var.snapshot_uri },
      startswith(var.snapshot_uri, "s3://") ? { AWS_DEFAULT_REGION = var.aws_region } : {},
    )
  })
}
