# The same files that dbt, the ingester and reconciliation read: adding a table there adds its topic, its
# subscription and its raw table here.
locals {
  documents = [
    for name in sort(tolist(fileset(var.path, "**/*.yml"))) : yamldecode(file("${var.path}/${name}"))
  ]

  tables = flatten([
    for document in local.documents : [
      for source in try(document.sources, []) : [
        for table in source.tables : {
          name               = table.name
          source             = source.name
          dataset            = source.schema
          description        = trimspace(table.description)
          owner              = table.config.meta.owner
          topic              = table.config.meta.topic
          notification_topic = try(table.config.meta.notification_topic, null)

          require_partition_filter = try(table.config.meta.require_partition_filter, false)
          partition_by             = try(table.config.meta.partition_by, "day")
          cluster_by               = try(table.config.meta.cluster_by, ["_key"])
          retention_days           = try(table.config.meta.retention_days, null)
        }
      ]
    ]
  ])
}
