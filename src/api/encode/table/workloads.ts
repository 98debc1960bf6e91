// Tables of the kinds that keep pods running: controllers, deployments, sets and their revisions.
import { controllerOf } from "../../meta/object.ts";
import type { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from "../../types/apps-v1.ts";
import type { ReplicationController } from "../../types/core-v1.ts";
import {
  age,
  ageColumn,
  column,
  containerCells,
  containersColumn,
  imagesColumn,
  labelsText,
  nameColumn,
  rawSelectorText,
  selectorText,
  wideColumn,
} from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

export const replicationControllerTable: TableConvertor<ReplicationController> = {
  columns: [
    nameColumn,
    column("Desired", texts.ReplicationControllerSpec.replicas, "integer"),
    column("Current", texts.ReplicationControllerStatus.replicas, "integer"),
    column("Ready", texts.ReplicationControllerStatus.readyReplicas, "integer"),
    ageColumn,
    containersColumn,
    imagesColumn,
    wideColumn("Selector", texts.ReplicationControllerSpec.selector),
  ],
  cells: (controller, nowMs) => {
    const { metadata, spec, status } = controller;
    const counts = [spec?.replicas ?? 0, status?.replicas ?? 0, status?.readyReplicas ?? 0];
    const containers = containerCells(spec?.template?.spec?.containers);
    return [metadata.name, ...counts, age(controller, nowMs), ...containers, labelsText(spec?.selector)];
  },
};

export const replicaSetTable: TableConvertor<ReplicaSet> = {
  columns: [
    nameColumn,
    column("Desired", texts.ReplicaSetSpec.replicas, "integer"),
    column("Current", texts.ReplicaSetStatus.replicas, "integer"),
    column("Ready", texts.ReplicaSetStatus.readyReplicas, "integer"),
    ageColumn,
    containersColumn,
    imagesColumn,
    wideColumn("Selector", texts.ReplicaSetSpec.selector),
  ],
  cells: (set, nowMs) => {
    const { metadata, spec, status } = set;
    const counts = [spec?.replicas ?? 0, status?.replicas ?? 0, status?.readyReplicas ?? 0];
    const containers = containerCells(spec?.template?.spec?.containers);
    return [metadata.name, ...counts, age(set, nowMs), ...containers, selectorText(spec?.selector)];
  },
};

export const deploymentTable: TableConvertor<Deployment> = {
  columns: [
    nameColumn,
    column("Ready", "Number of the pod with ready state"),
    column("Up-to-date", texts.DeploymentStatus.updatedReplicas),
    column("Available", texts.DeploymentStatus.availableReplicas),
    ageColumn,
    containersColumn,
    imagesColumn,
    wideColumn("Selector", texts.DeploymentSpec.selector),
  ],
  cells: (deployment, nowMs) => {
    const { metadata, spec, status } = deployment;
    return [
      metadata.name,
      `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
      status?.updatedReplicas ?? 0,
      status?.availableReplicas ?? 0,
      age(deployment, nowMs),
      ...containerCells(spec?.template.spec?.containers),
      rawSelectorText(spec?.selector, "<invalid>"),
    ];
  },
};

export const statefulSetTable: TableConvertor<StatefulSet> = {
  columns: [nameColumn, column("Ready", "Number of the pod with ready state"), ageColumn, containersColumn, imagesColumn],
  cells: (set, nowMs) => {
    const { metadata, spec, status } = set;
    const ready = `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`;
    return [metadata.name, ready, age(set, nowMs), ...containerCells(spec?.template.spec?.containers)];
  },
};

export const daemonSetTable: TableConvertor<DaemonSet> = {
  columns: [
    nameColumn,
    column("Desired", texts.DaemonSetStatus.desiredNumberScheduled, "integer"),
    column("Current", texts.DaemonSetStatus.currentNumberScheduled, "integer"),
    column("Ready", texts.DaemonSetStatus.numberReady, "integer"),
    column("Up-to-date", texts.DaemonSetStatus.updatedNumberScheduled, "integer"),
    column("Available", texts.DaemonSetStatus.numberAvailable, "integer"),
    column("Node Selector", texts.PodSpec.nodeSelector),
    ageColumn,
    containersColumn,
    imagesColumn,
    wideColumn("Selector", texts.DaemonSetSpec.selector),
  ],
  cells: (set, nowMs) => {
    const { metadata, spec, status } = set;
    return [
      metadata.name,
      status?.desiredNumberScheduled ?? 0,
      status?.currentNumberScheduled ?? 0,
      status?.numberReady ?? 0,
      status?.updatedNumberScheduled ?? 0,
      status?.numberAvailable ?? 0,
      labelsText(spec?.template.spec?.nodeSelector),
      age(set, nowMs),
      ...containerCells(spec?.template.spec?.containers),
      selectorText(spec?.selector),
    ];
  },
};

/** "deployment.apps/web". */
function controllerText(revision: ControllerRevision): string {
  const owner = controllerOf(revision);
  if (!owner) return "<none>";
  const group = owner.apiVersion.includes("/") ? `.${owner.apiVersion.split("/")[0]}` : "";
  return `${`${owner.kind}${group}`.toLowerCase()}/${owner.name}`;
}

export const controllerRevisionTable: TableConvertor<ControllerRevision> = {
  columns: [nameColumn, column("Controller", "Controller of the object"), column("Revision", texts.ControllerRevision.revision), ageColumn],
  cells: (revision, nowMs) => [revision.metadata.name, controllerText(revision), revision.revision, age(revision, nowMs)],
};
