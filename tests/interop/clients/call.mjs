// One call of one client, reported as events: what it says while it runs, and last how it ended.

/**
 * @typedef {(event: string, values?: object) => void} Report
 * @typedef {(call: any, report: Report) => Promise<object>} Perform the default export of every client script
 */

/**
 * Performs a call and reports how it ended: `{ok: true, ...}` or `{ok: false, error}`.
 * @param {string} script file name beside this one
 * @param {object} call
 * @param {Report} report
 */
export async function perform(script, call, report) {
  try {
    const { default: client } = await import(`./${script}`);
    report('result', { ok: true, ...(await client(call, report)) });
  } catch (error) {
    report('result', { ok: false, error: describe(error) });
  }
}

/** The parts of an error by which a connector, and so its user, learns what went wrong. */
function describe(error) {
  const response = error.response ?? error.original?.response;
  return {
    name: error.name,
    message: error.message,
    code: error.code ?? error.cause?.code,
    cause: error.cause?.message,
    status: response?.status ?? error.status ?? error.$metadata?.httpStatusCode,
    body: response?.data,
  };
}
