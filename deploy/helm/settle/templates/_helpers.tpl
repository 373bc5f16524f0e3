{{/* What all objects are named after, if Kubernetes takes all their names: a Service wants a letter
     first and no dot, and a CronJob leaves room for the jobs that it makes. */}}
{{- define "settle.name" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,40}[a-z0-9])?$" .Release.Name) }}
{{- fail (printf "the name of the release, %s: must begin with a letter, have letters, digits and - alone, and at most 42 of them" .Release.Name) }}
{{- end }}
{{- .Release.Name }}
{{- end }}

{{/* Labels by which a part is selected. Called with (list . "worker"). */}}
{{- define "settle.selector" -}}
app.kubernetes.io/name: settle
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of a part. */}}
{{- define "settle.labels" -}}
{{ include "settle.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What every pod is: restricted, without the cluster's API, and without variables of Services,
     of which SETTLE_FLOWER_PORT would look like a setting. */}}
{{- define "settle.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What every container is. */}}
{{- define "settle.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* What a container that runs and ends may take. */}}
{{- define "settle.small" -}}
requests: {cpu: 100m, memory: 128Mi}
limits: {memory: 256Mi}
{{- end }}

{{/* Where a read-only root may be written to. */}}
{{- define "settle.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if .Values.caSecret }}
- name: ca
  secret: {secretName: {{ .Values.caSecret | quote }}}
{{- end }}
{{- end }}

{{- define "settle.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.caSecret }}
- {name: ca, mountPath: /etc/settle-ca, readOnly: true}
{{- end }}
{{- end }}

{{/* One more pod before one less, and spread over nodes. */}}
{{- define "settle.strategy" -}}
type: RollingUpdate
rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
{{- end }}

{{- define "settle.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "settle.selector" . | nindent 6 }}
{{- end }}

{{/* A pod that waits for its servers must not keep a node from being drained. */}}
{{- define "settle.disruption" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ (index . 0).Release.Name }}-{{ index . 1 }}
  labels: {{- include "settle.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "settle.selector" . | nindent 6 }}
{{- end }}

{{/* The time to stop, in whole seconds, and some more. Called with (list . 20). */}}
{{- define "settle.grace" -}}
{{ add (ceil (float64 (index . 0).Values.settings.SETTLE_STOP_TIMEOUT_SECONDS)) (index . 1) }}
{{- end }}

{{/* A changed setting rolls the pods. */}}
{{- define "settle.checksum" -}}
checksum/settings: {{ toJson .Values.settings | sha256sum }}
{{- end }}
