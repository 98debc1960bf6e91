// Whether containers may be privileged at all (--allow-privileged). Whoever validates a pod or a template has no context beside
// it, so it is known to the whole process, as it is upstream: an API server says it once, before it serves.
let isAllowed = true;

export function allowPrivileged(allowed: boolean): void {
  isAllowed = allowed;
}

export const allowsPrivileged = (): boolean => isAllowed;
